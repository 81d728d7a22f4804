import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../commandids';
import { kplIcon } from '../icons';
import { IPlatformClient, IWorkbench } from '../tokens';
import { LazyPanel } from '../widgets/lazy';

/**
 * Adds the sidebar.
 */
export const sidebarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:sidebar',
  description: 'Adds the sidebar with datasets, tasks, models and services.',
  autoStart: true,
  requires: [IPlatformClient, IWorkbench, IRenderMimeRegistry],
  optional: [ILayoutRestorer, ICommandPalette, IStateDB, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    client: IPlatformClient,
    workbench: IWorkbench,
    rendermime: IRenderMimeRegistry,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    state: IStateDB | null,
    translator: ITranslator | null
  ): void => {
    const language = translator ?? nullTranslator;
    const trans = language.load('kpl_lab');
    const sidebar = new LazyPanel(async () => {
      const { Sidebar } = await import('../panels/sidebar');
      return new Sidebar({
        translator: language,
        state,
        context: {
          browse: () => Promise.resolve(null),
          chooseFile: () => Promise.resolve(null),
          client,
          commands: app.commands,
          rendermime,
          state,
          trans,
          workbench
        }
      });
    });
    sidebar.id = 'kpl-lab-sidebar';
    sidebar.title.icon = kplIcon;
    sidebar.title.caption = trans.__('KPL Lab');
    sidebar.node.setAttribute('role', 'region');
    sidebar.node.setAttribute('aria-label', trans.__('KPL Lab'));
    app.shell.add(sidebar, 'left', { rank: 150, type: 'KPL Lab' });
    restorer?.add(sidebar, 'kpl-lab-sidebar');
    app.commands.addCommand(CommandIDs.showPanel, {
      label: trans.__('Show KPL Lab'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(sidebar.id)
    });
    palette?.addItem({
      command: CommandIDs.showPanel,
      category: trans.__('KPL Lab')
    });
  }
};
