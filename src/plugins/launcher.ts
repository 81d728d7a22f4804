import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILauncher } from '@jupyterlab/launcher';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../commandids';

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
    _: JupyterFrontEnd,
    launcher: ILauncher,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    const items = [
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
