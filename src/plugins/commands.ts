import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../commandids';
import { PlatformError } from '../request';
import type { ResourceKind } from '../tokens';
import { IPlatformClient, IWorkbench } from '../tokens';
import { addDatasetCommands } from './datasetcommands';
import { addFormCommands } from './formcommands';
import { addResourceCommands } from './resourcecommands';

/**
 * What a command works on.
 */
export interface ITarget {
  kind: ResourceKind;
  id: number;
  name: string;
}

/**
 * What the modules that add commands are given.
 */
export interface ICommandContext {
  app: JupyterFrontEnd;
  client: IPlatformClient;
  trans: TranslationBundle;
  workbench: IWorkbench;

  /**
   * What a command was called for: its arguments, else the row under the pointer.
   */
  target: (args: Record<string, unknown>) => ITarget | null;

  /**
   * Do something, and tell the user where it fails.
   */
  attempt: (work: () => Promise<unknown>) => Promise<void>;

  /**
   * The schema of arguments that name a resource.
   */
  targetArgs: Record<string, unknown>;
}

/**
 * Adds the commands that all views share, and lists them in the palette.
 */
export const commandsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:commands',
  description: 'Adds the commands of tasks, datasets, models and services.',
  autoStart: true,
  requires: [IPlatformClient, IWorkbench],
  optional: [ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    client: IPlatformClient,
    workbench: IWorkbench,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    const context: ICommandContext = {
      app,
      client,
      trans,
      workbench,
      target: args => Private.target(app, args),
      attempt: work => Private.attempt(trans, work),
      targetArgs: Private.targetArgs(trans)
    };
    addFormCommands(context);
    addResourceCommands(context);
    addDatasetCommands(context);
    const listed = [
      CommandIDs.newTask,
      CommandIDs.newDataset,
      CommandIDs.publishAlgorithm,
      CommandIDs.saveModel,
      CommandIDs.deployService,
      CommandIDs.registerImage,
      CommandIDs.buildImage,
      CommandIDs.saveEnvironment
    ];
    for (const command of listed) {
      palette?.addItem({ command, category: trans.__('KPL Lab') });
    }
  }
};

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Read the arguments, or the row that the context menu was opened on.
   */
  export function target(
    app: JupyterFrontEnd,
    args: Record<string, unknown>
  ): ITarget | null {
    if (args.kind && args.id !== undefined) {
      return {
        kind: args.kind as ResourceKind,
        id: Number(args.id),
        name: String(args.name ?? '')
      };
    }
    const row = app.contextMenuHitTest(node =>
      node.classList.contains('kpl-Row')
    );
    return row
      ? {
          kind: row.dataset.kind as ResourceKind,
          id: Number(row.dataset.id),
          name: row.dataset.name ?? ''
        }
      : null;
  }

  export async function attempt(
    trans: TranslationBundle,
    work: () => Promise<unknown>
  ): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { said } = await import('../said');
      Notification.error(said(trans, PlatformError.from(error).message), {
        autoClose: 10_000
      });
    }
  }

  export function targetArgs(
    trans: TranslationBundle
  ): Record<string, unknown> {
    return {
      type: 'object',
      properties: {
        kind: {
          type: 'string',
          description: trans.__(
            'tasks, datasets, models, algorithms, services or images'
          )
        },
        id: { type: 'number', description: trans.__('The id') },
        name: { type: 'string', description: trans.__('The name') }
      }
    };
  }
}
