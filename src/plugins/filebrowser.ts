import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../commandids';
import { algorithmIcon, datasetIcon, modelIcon, taskIcon } from '../icons';
import type { FormKind } from '../tokens';
import { IWorkbench } from '../tokens';

/**
 * Adds what a folder can become to the file browser's context menu.
 */
export const fileBrowserPlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:file-browser',
  description: 'Adds submit, publish and save to the file browser’s menu.',
  autoStart: true,
  requires: [IFileBrowserFactory, IWorkbench],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    browsers: IFileBrowserFactory,
    workbench: IWorkbench,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    const { commands } = app;
    const selected = (): string | null => {
      const item = browsers.tracker.currentWidget?.selectedItems().next();
      return item && !item.done ? item.value.path : null;
    };
    const open = (form: FormKind) => () => {
      const path = selected();
      if (path !== null) {
        workbench.openForm(form, {
          path: app.serviceManager.contents.localPath(path)
        });
      }
    };
    const describedBy = { args: { type: 'object', properties: {} } } as const;
    commands.addCommand(CommandIDs.submitFolder, {
      label: trans.__('Submit Task…'),
      icon: taskIcon,
      describedBy,
      execute: open('task')
    });
    commands.addCommand(CommandIDs.publishFolder, {
      label: trans.__('Publish as Algorithm…'),
      icon: algorithmIcon,
      describedBy,
      execute: open('algorithm')
    });
    commands.addCommand(CommandIDs.saveAsDataset, {
      label: trans.__('Save as Dataset…'),
      icon: datasetIcon,
      describedBy,
      execute: open('dataset')
    });
    commands.addCommand(CommandIDs.saveAsModel, {
      label: trans.__('Save as Model…'),
      icon: modelIcon,
      describedBy,
      execute: open('model')
    });
  }
};
