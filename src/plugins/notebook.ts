import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Clipboard, Notification } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../commandids';

/**
 * Puts code into the current cell of the current notebook.
 */
export const notebookPlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:notebook',
  description: 'Inserts code that reads a dataset into the current cell.',
  autoStart: true,
  optional: [INotebookTracker, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    app.commands.addCommand(CommandIDs.insertCode, {
      label: trans.__('Insert Code into the Current Cell'),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            code: { type: 'string', description: trans.__('The lines') }
          },
          required: ['code']
        }
      },
      execute: args => {
        const code = String(args.code);
        const cell = notebooks?.activeCell;
        const panel = notebooks?.currentWidget;
        if (!cell?.editor || !panel || cell.model.type !== 'code') {
          Clipboard.copyToSystem(code);
          Notification.info(
            trans.__(
              'No code cell is current: the code was copied, paste it where you want it.'
            ),
            { autoClose: 5000 }
          );
          return;
        }
        const source = cell.model.sharedModel;
        if (source.getSource().trim() === '') {
          source.setSource(code);
        } else {
          cell.editor.replaceSelection?.(code);
        }
        app.shell.activateById(panel.id);
        panel.content.activate();
      }
    });
  }
};
