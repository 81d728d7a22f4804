import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  ICommandPalette,
  Notification,
  ReactWidget
} from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import type { Event, ServiceManager } from '@jupyterlab/services';
import { IStatusBar } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';

import type { IEnded, IServerUsage } from '../api/local';
import { CommandIDs } from '../commandids';
import { confirm } from '../dialogs';
import { memory, percent } from '../format';
import { UsageModel } from '../models/usage';
import { IPlatformClient } from '../tokens';
import { LazyPanel } from '../widgets/lazy';

/**
 * What the server emits when something was ended for memory.
 */
const ENDED_SCHEMA = 'http://kpl-lab/kernel-ended';

/**
 * How long a warning stays, in milliseconds; that a kernel is lost stays until it is closed.
 */
const STAYS = 60_000;

/**
 * Shows what this server uses, and warns before and after memory or disk run out.
 */
export const usagePlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:usage',
  description:
    'Adds CPU, memory, GPU and disk of the server to the status bar.',
  autoStart: true,
  requires: [IPlatformClient],
  optional: [IStatusBar, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    client: IPlatformClient,
    statusBar: IStatusBar | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    const model = new UsageModel({
      read: () => client.local.usage(),
      memory: window.localStorage
    });
    Private.addHomeCommand(app, client, model, trans, palette);
    Private.addStatus(app, model, trans, statusBar);
    model.memoryShort.connect((_, usage) =>
      Private.warnOfMemory(app.serviceManager, trans, usage)
    );
    model.ended.connect((_, ended) =>
      Private.tellEnded(trans, ended, model.usage)
    );
    app.serviceManager.events.stream.connect((_, event: Event.Emission) => {
      if (event.schema_id === ENDED_SCHEMA) {
        void model.refresh();
      }
    });
    void app.restored.then(async () => {
      model.start();
      await model.refresh();
      if (model.usage?.is_cleaning_up) {
        await app.commands.execute(CommandIDs.showHome);
      }
    });
  }
};

/**
 * A namespace for private helpers.
 */
namespace Private {
  export function addHomeCommand(
    app: JupyterFrontEnd,
    client: IPlatformClient,
    model: UsageModel,
    trans: TranslationBundle,
    palette: ICommandPalette | null
  ): void {
    app.commands.addCommand(CommandIDs.showHome, {
      label: trans.__('What Fills the Home Folder'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: async () => {
        // What is restored later would cover it.
        await app.restored;
        const { homeWidget } = await import('../panels/home');
        const id = 'kpl-lab-home';
        if (![...app.shell.widgets('main')].some(widget => widget.id === id)) {
          const widget = homeWidget({
            api: client.local,
            trans,
            isCleaningUp: model.usage?.is_cleaning_up ?? false,
            onRemoved: () => void model.refresh()
          });
          app.shell.add(widget, 'main');
        }
        app.shell.activateById(id);
      }
    });
    palette?.addItem({
      command: CommandIDs.showHome,
      category: trans.__('KPL Lab')
    });
  }

  export function addStatus(
    app: JupyterFrontEnd,
    model: UsageModel,
    trans: TranslationBundle,
    statusBar: IStatusBar | null
  ): void {
    const item = new LazyPanel(async () => {
      const { UsageStatus } = await import('../panels/usage');
      return ReactWidget.create(
        <UsageStatus
          model={model}
          trans={trans}
          onClick={() => void app.commands.execute(CommandIDs.showHome)}
        />
      );
    });
    item.addClass('kpl-Status-item');
    statusBar?.registerStatusItem('kpl-lab:usage', {
      item,
      align: 'left',
      rank: 2.9
    });
  }

  /**
   * Say that memory runs out, which kernel uses most, and offer to restart it.
   */
  export function warnOfMemory(
    services: ServiceManager.IManager,
    trans: TranslationBundle,
    usage: IServerUsage
  ): void {
    const [most] = usage.kernels;
    // Where other programs use more, restarting a kernel would help nobody.
    const largest = most && most.memory * 2 >= usage.memory ? most : null;
    const share = percent(usage.memory / (usage.memory_limit ?? usage.memory));
    const limit = memory(usage.memory_limit);
    // JupyterLab cuts what is longer than 140 letters.
    const words = largest
      ? trans.__(
          'Memory %1 of %2: the kernel of %3 uses %4. Restart it, or start the server with more memory.',
          share,
          limit,
          PathExt.basename(largest.path),
          memory(largest.memory)
        )
      : trans.__(
          'Memory %1 of %2: end programs in terminals, or start the server with more memory.',
          share,
          limit
        );
    Notification.warning(words, {
      autoClose: STAYS,
      actions: largest
        ? [
            {
              label: trans.__('Restart kernel…'),
              callback: () => void restart(services, trans, largest.path)
            }
          ]
        : []
    });
  }

  /**
   * Say which kernel is lost, and what to do.
   */
  export function tellEnded(
    trans: TranslationBundle,
    ended: IEnded,
    usage: IServerUsage | null
  ): void {
    const limit = memory(usage?.memory_limit);
    const words =
      ended.path === null
        ? trans.__(
            'A program was ended: the memory of %1 was used up. Give it less at once, or start the server with more memory.',
            limit
          )
        : trans.__(
            'The kernel of %1 was ended: the memory of %2 was used up. Load less at once, or start the server with more.',
            PathExt.basename(ended.path),
            limit
          );
    Notification.error(words, { autoClose: false });
  }

  async function restart(
    services: ServiceManager.IManager,
    trans: TranslationBundle,
    path: string
  ): Promise<void> {
    const isWanted = await confirm({
      trans,
      title: trans.__('Restart the kernel of %1?', path),
      body: trans.__('Its variables are lost.'),
      label: trans.__('Restart')
    });
    const session = await services.sessions.findByPath(path);
    if (isWanted && session?.kernel) {
      const kernel = services.kernels.connectTo({ model: session.kernel });
      await kernel.restart();
      kernel.dispose();
    }
  }
}
