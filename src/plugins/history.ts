import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import {
  ICommandPalette,
  MainAreaWidget,
  WidgetTracker
} from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { Widget } from '@lumino/widgets';

import { readHistory } from '../api/history';
import { CommandIDs } from '../commandids';
import type { IKplContext } from '../context';
import { kplIcon } from '../icons';
import { IPlatformClient, IWorkbench } from '../tokens';

/**
 * Adds the page with what happened to this server at its starts.
 */
export const historyPlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:history',
  description: 'Adds a page with the events of this notebook server.',
  autoStart: true,
  requires: [IPlatformClient, IWorkbench, IRenderMimeRegistry],
  optional: [ILayoutRestorer, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    client: IPlatformClient,
    workbench: IWorkbench,
    rendermime: IRenderMimeRegistry,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    const { commands, serviceManager, shell } = app;
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    const context: IKplContext = {
      browse: () => Promise.resolve(null),
      chooseFile: () => Promise.resolve(null),
      client,
      commands,
      rendermime,
      state: null,
      trans,
      workbench
    };
    const tracker = new WidgetTracker<MainAreaWidget>({
      namespace: 'kpl-lab-history'
    });
    commands.addCommand(CommandIDs.showHistory, {
      label: trans.__('Events of this server'),
      caption: trans.__('What happened to this server at its starts'),
      icon: kplIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: async () => {
        let widget = tracker.currentWidget;
        if (!widget) {
          const { historyWidget } = await import('../panels/history/page');
          const name = PageConfig.getOption('hubServerName');
          const read = () => readHistory(serviceManager.serverSettings, name);
          widget = Private.framed(historyWidget(context, read), trans);
          await tracker.add(widget);
          shell.add(widget, 'main');
        }
        shell.activateById(widget.id);
      }
    });
    palette?.addItem({
      command: CommandIDs.showHistory,
      category: trans.__('KPL Lab')
    });
    if (restorer) {
      void restorer.restore(tracker, {
        command: CommandIDs.showHistory,
        name: () => 'history'
      });
    }
  }
};

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * The page as a tab of the main area.
   */
  export function framed(
    content: Widget,
    trans: TranslationBundle
  ): MainAreaWidget {
    const widget = new MainAreaWidget({ content });
    widget.id = 'kpl-lab-history';
    widget.toolbar.hide();
    widget.title.label = trans.__('Events of this server');
    widget.title.icon = kplIcon;
    widget.title.closable = true;
    return widget;
  }
}
