import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ReactWidget } from '@jupyterlab/apputils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';

import { CommandIDs } from '../commandids';
import { IPlatformClient } from '../tokens';
import { LazyPanel } from '../widgets/lazy';

/**
 * Adds capacity and running tasks to the status bar.
 */
export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:status',
  description: 'Adds capacity and running tasks to the status bar.',
  autoStart: true,
  requires: [IPlatformClient, IStatusBar],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    client: IPlatformClient,
    statusBar: IStatusBar,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    const item = new LazyPanel(async () => {
      const { Status } = await import('../panels/status');
      return ReactWidget.create(
        <Status
          client={client}
          trans={trans}
          onClick={() => void app.commands.execute(CommandIDs.showPanel)}
        />
      );
    });
    item.addClass('kpl-Status-item');
    statusBar.registerStatusItem('kpl-lab:status', {
      item,
      align: 'left',
      rank: 3
    });
  }
};
