import type { ReadonlyJSONObject } from '@lumino/coreutils';

import { CommandIDs } from '../commandids';
import {
  algorithmIcon,
  datasetIcon,
  imageIcon,
  modelIcon,
  serviceIcon,
  taskIcon
} from '../icons';
import type { ICommandContext } from './commands';

/**
 * The commands that open forms. Called for a row, they begin with it.
 */
export function addFormCommands(context: ICommandContext): void {
  const { app, trans, workbench, target } = context;
  const describedBy = { args: context.targetArgs as ReadonlyJSONObject };
  const { commands } = app;
  commands.addCommand(CommandIDs.newTask, {
    label: args =>
      args.isLauncher ? trans.__('New task') : trans.__('New Task…'),
    caption: trans.__('Run code beside this server'),
    icon: args => (args.isPalette ? undefined : taskIcon),
    describedBy,
    execute: args => {
      const { kind, name } = target(args) ?? {};
      workbench.openForm('task', {
        ...(kind === 'algorithms' && { algorithm: name }),
        ...(kind === 'datasets' && { dataset: name })
      });
    }
  });
  commands.addCommand(CommandIDs.newDataset, {
    label: args =>
      args.isLauncher ? trans.__('New dataset') : trans.__('New Dataset…'),
    caption: trans.__('Make a dataset of a folder'),
    icon: args => (args.isPalette ? undefined : datasetIcon),
    describedBy,
    execute: () => workbench.openForm('dataset')
  });
  commands.addCommand(CommandIDs.publishAlgorithm, {
    label: args =>
      args.isLauncher
        ? trans.__('Publish algorithm')
        : trans.__('Publish Algorithm…'),
    caption: trans.__('Check, build and version a code folder'),
    icon: args => (args.isPalette ? undefined : algorithmIcon),
    describedBy,
    execute: () => workbench.openForm('algorithm')
  });
  commands.addCommand(CommandIDs.saveModel, {
    label: trans.__('Save Model…'),
    caption: trans.__('Keep a folder as a version of a model'),
    icon: args => (args.isPalette ? undefined : modelIcon),
    describedBy,
    execute: () => workbench.openForm('model')
  });
  commands.addCommand(CommandIDs.deployService, {
    label: args =>
      args.isLauncher
        ? trans.__('Deploy service')
        : trans.__('Deploy Service…'),
    caption: trans.__('Let a model answer calls'),
    icon: args => (args.isPalette ? undefined : serviceIcon),
    describedBy,
    execute: args => {
      const { kind, name } = target(args) ?? {};
      const version = args.version ? `:${Number(args.version)}` : '';
      workbench.openForm('service', {
        ...(kind === 'models' && { model: `${name}${version}` }),
        ...(kind === 'algorithms' && { algorithm: name })
      });
    }
  });
  commands.addCommand(CommandIDs.buildImage, {
    label: trans.__('Build Image…'),
    caption: trans.__(
      'Make an image of a Dockerfile, environment.yml or requirements, or load a saved one'
    ),
    icon: args => (args.isPalette ? undefined : imageIcon),
    describedBy,
    execute: () => workbench.openForm('build')
  });
  commands.addCommand(CommandIDs.saveEnvironment, {
    label: trans.__('Save Environment as Image…'),
    caption: trans.__(
      'Make an image of this notebook server: its image and what was installed since'
    ),
    icon: args => (args.isPalette ? undefined : imageIcon),
    describedBy,
    execute: () => workbench.openForm('environment')
  });
  commands.addCommand(CommandIDs.registerImage, {
    label: trans.__('Register Image…'),
    caption: trans.__('Add an image that is there already to the catalog'),
    icon: args => (args.isPalette ? undefined : imageIcon),
    describedBy,
    execute: () => workbench.openForm('image')
  });
  commands.addCommand(CommandIDs.resubmitTask, {
    label: trans.__('Submit Again…'),
    caption: trans.__('A new task that begins with the same values'),
    describedBy,
    execute: args => {
      const task = target(args);
      if (task) {
        workbench.openForm('task', { task: task.id });
      }
    }
  });
}
