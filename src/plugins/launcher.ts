import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../commandids';
import { kplIcon } from '../icons';

/**
 * The folder of the example project in every home.
 */
const EXAMPLE = 'digits';

/**
 * Adds a row to the launcher.
 */
export const launcherPlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:launcher',
  description: 'Adds a row with what one begins with to the launcher.',
  autoStart: true,
  requires: [ILauncher],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    launcher: ILauncher,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    app.commands.addCommand(CommandIDs.openExample, {
      label: trans.__('Example project'),
      caption: trans.__('Digit classification, from pictures to a service'),
      icon: kplIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: async () => {
        try {
          const readme = `${EXAMPLE}/README.md`;
          await app.serviceManager.contents.get(readme, { content: false });
          await app.commands.execute('filebrowser:go-to-path', {
            path: EXAMPLE,
            dontShowBrowser: false
          });
          await app.commands.execute('markdownviewer:open', { path: readme });
        } catch {
          Notification.warning(
            trans.__(
              'There is no “%1” in your home any more; the documentation of KPL Lab shows it.',
              EXAMPLE
            ),
            { autoClose: 8000 }
          );
        }
      }
    });
    // The first gives the row its icon.
    const items = [
      CommandIDs.openExample,
      CommandIDs.newTask,
      CommandIDs.newDataset,
      CommandIDs.publishAlgorithm,
      CommandIDs.deployService
    ];
    items.forEach((command, rank) => {
      launcher.add({
        command,
        category: trans.__('KPL Lab'),
        rank,
        args: { isLauncher: true }
      });
    });
  }
};
