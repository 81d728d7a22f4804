import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILayoutRestorer, IRouter } from '@jupyterlab/application';
import { WidgetTracker } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IStateDB } from '@jupyterlab/statedb';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../commandids';
import type { IKplContext } from '../context';
import { pluralKind } from '../kinds';
import type { DetailWidget, FormWidget } from '../panels/widget';
import { IPlatformClient, IWorkbench } from '../tokens';
import type { FormKind, IFormStart, ResourceKind } from '../tokens';

/**
 * What a link to a page ends with, e.g. `?kpl=task:42`.
 */
const DEEP_LINK = /[?&]kpl=([a-z]+)(?::|%3A)([^&#]+)/;

/**
 * Opens pages and forms in the main area, and again after a reload or from a link.
 */
export const workbenchPlugin: JupyterFrontEndPlugin<IWorkbench> = {
  id: 'kpl-lab:workbench',
  description: 'Provides pages and forms of the main area, and links to them.',
  autoStart: true,
  provides: IWorkbench,
  requires: [IPlatformClient, IDocumentManager, IRenderMimeRegistry],
  optional: [ILayoutRestorer, IRouter, IStateDB, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    client: IPlatformClient,
    manager: IDocumentManager,
    rendermime: IRenderMimeRegistry,
    restorer: ILayoutRestorer | null,
    router: IRouter | null,
    state: IStateDB | null,
    translator: ITranslator | null
  ): IWorkbench => {
    const { commands } = app;
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    const workbench: IWorkbench = {
      openDetail: (kind, id, tab) =>
        void commands.execute(CommandIDs.openDetail, {
          kind,
          id,
          ...(tab && { tab })
        }),
      openForm: (form, start = {}) =>
        void commands.execute(CommandIDs.openForm, {
          form,
          start: { ...start }
        })
    };
    const context: IKplContext = {
      browse: () => Private.browse(manager, translator ?? nullTranslator),
      chooseFile: () =>
        Private.chooseFile(manager, translator ?? nullTranslator),
      client,
      commands,
      rendermime,
      state,
      trans,
      workbench
    };
    const trackers = Private.trackers(restorer);
    Private.addOpenCommands(app, context, trackers);
    if (router) {
      commands.addCommand(CommandIDs.openRoute, {
        label: trans.__('Open a link to a page of KPL Lab'),
        describedBy: {
          args: { type: 'object', properties: { search: { type: 'string' } } }
        },
        execute: async args => {
          await app.restored;
          await Private.openLink(String(args.search ?? ''), context);
        }
      });
      router.register({ command: CommandIDs.openRoute, pattern: DEEP_LINK });
    }
    return workbench;
  }
};

/**
 * A namespace for private helpers.
 */
namespace Private {
  export interface ITrackers {
    details: WidgetTracker<DetailWidget>;
    forms: WidgetTracker<FormWidget>;
  }

  export function trackers(restorer: ILayoutRestorer | null): ITrackers {
    const details = new WidgetTracker<DetailWidget>({
      namespace: 'kpl-lab-details'
    });
    const forms = new WidgetTracker<FormWidget>({ namespace: 'kpl-lab-forms' });
    if (restorer) {
      void restorer.restore(details, {
        command: CommandIDs.openDetail,
        args: ({ content }) => ({
          kind: content.kind,
          id: content.resourceId,
          tab: content.tab
        }),
        name: ({ content }) => `${content.kind}:${content.resourceId}`
      });
      void restorer.restore(forms, {
        command: CommandIDs.openForm,
        args: ({ content }) => ({
          form: content.form,
          start: { ...content.start }
        }),
        name: ({ id }) => id
      });
    }
    return { details, forms };
  }

  /**
   * The two commands that everything else goes through; their code is loaded when needed.
   */
  export function addOpenCommands(
    app: JupyterFrontEnd,
    context: IKplContext,
    { details, forms }: ITrackers
  ): void {
    const { trans } = context;
    app.commands.addCommand(CommandIDs.openDetail, {
      label: trans.__('Open a page of KPL Lab'),
      describedBy: { args: detailArgs(trans) },
      execute: async args => {
        const kind = args.kind as ResourceKind;
        const id = Number(args.id);
        const tab = (args.tab as string | undefined) ?? '';
        const { DetailWidget } = await import('../panels/widget');
        const known = details.find(
          ({ content }) => content.kind === kind && content.resourceId === id
        );
        const widget = known ?? new DetailWidget({ context, kind, id, tab });
        if (known) {
          if (tab) {
            known.content.tab = tab;
          }
        } else {
          await details.add(widget);
          const save = (): void => void details.save(widget);
          widget.content.tabChanged.connect(save, widget);
          app.shell.add(widget, 'main');
        }
        app.shell.activateById(widget.id);
        return widget;
      }
    });
    app.commands.addCommand(CommandIDs.openForm, {
      label: trans.__('Open a form of KPL Lab'),
      describedBy: { args: formArgs(trans) },
      execute: async args => {
        const form = args.form as FormKind;
        const start = (args.start ?? {}) as IFormStart;
        const { FormWidget } = await import('../panels/widget');
        const widget = new FormWidget({ context, form, start });
        widget.id = `kpl-lab-form-${form}-${Date.now()}`;
        await forms.add(widget);
        app.shell.add(widget, 'main');
        app.shell.activateById(widget.id);
        return widget;
      }
    });
  }

  /**
   * Open what `?kpl=task:42` or `?kpl=dataset:digits` names.
   */
  export async function openLink(
    search: string,
    { client, workbench }: IKplContext
  ): Promise<void> {
    const match = DEEP_LINK.exec(search);
    const kind = match ? pluralKind(match[1]) : null;
    if (!match || !kind) {
      return;
    }
    const [reference, tab] = decodeURIComponent(match[2]).split(':');
    const id = /^\d+$/.test(reference)
      ? Number(reference)
      : (await client[kind].get(reference)).id;
    workbench.openDetail(kind, id, tab);
  }

  /**
   * Let the user choose a folder.
   */
  export async function browse(
    manager: IDocumentManager,
    translator: ITranslator
  ): Promise<string | null> {
    const { FileDialog } = await import('@jupyterlab/filebrowser');
    const result = await FileDialog.getExistingDirectory({
      manager,
      translator
    });
    const [chosen] = result.value ?? [];
    return result.button.accept && chosen ? chosen.path : null;
  }

  /**
   * Let the user choose a file, and read it.
   */
  export async function chooseFile(
    manager: IDocumentManager,
    translator: ITranslator
  ): Promise<File | null> {
    const trans = translator.load('kpl_lab');
    const { FileDialog } = await import('@jupyterlab/filebrowser');
    const result = await FileDialog.getOpenFiles({
      manager,
      translator,
      title: trans.__('Choose a file of your home')
    });
    const [chosen] = result.value ?? [];
    if (!result.button.accept || !chosen) {
      return null;
    }
    const { readHomeFile } = await import('../homefile');
    return readHomeFile(manager.services, trans, chosen);
  }

  function detailArgs(trans: TranslationBundle) {
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
        tab: { type: 'string', description: trans.__('The tab of the page') }
      },
      required: ['kind', 'id']
    } as const;
  }

  function formArgs(trans: TranslationBundle) {
    return {
      type: 'object',
      properties: {
        form: {
          type: 'string',
          description: trans.__(
            'task, dataset, model, algorithm, service or image'
          )
        },
        start: {
          type: 'object',
          description: trans.__('What to begin with, e.g. a path')
        }
      },
      required: ['form']
    } as const;
  }
}
