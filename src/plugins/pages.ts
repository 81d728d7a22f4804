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
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { buildIcon } from '@jupyterlab/ui-components';
import type { LabIcon } from '@jupyterlab/ui-components';
import type { Widget } from '@lumino/widgets';

import { readHistory } from '../api/history';
import { CommandIDs } from '../commandids';
import type { IKplContext } from '../context';
import { kplIcon } from '../icons';
import { IPlatformClient, IWorkbench } from '../tokens';

/**
 * Adds the pages of which there is one: the builds, and what happened to this server.
 */
export const pagesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:pages',
  description:
    'Adds pages with the builds of images and the events of this notebook server.',
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
    const { commands, serviceManager } = app;
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
    for (const page of Private.pages(context, serviceManager)) {
      const tracker = Private.addPage(app, page);
      palette?.addItem({
        command: page.command,
        category: trans.__('KPL Lab')
      });
      if (restorer) {
        void restorer.restore(tracker, {
          command: page.command,
          name: () => page.name
        });
      }
    }
  }
};

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * A page of the main area of which there is one; its code is loaded when it is wanted.
   */
  export interface IPage {
    command: string;
    name: string;
    label: string;
    caption: string;
    icon: LabIcon;
    make: () => Promise<Widget>;
  }

  export function pages(
    context: IKplContext,
    { serverSettings }: JupyterFrontEnd['serviceManager']
  ): IPage[] {
    const { trans } = context;
    return [
      {
        command: CommandIDs.showBuilds,
        name: 'builds',
        label: trans.__('Builds'),
        caption: trans.__('The making of images, with logs'),
        icon: buildIcon,
        make: async () => {
          const { buildsWidget } = await import('../panels/builds/list');
          return buildsWidget(context);
        }
      },
      {
        command: CommandIDs.showHistory,
        name: 'history',
        label: trans.__('Events of this server'),
        caption: trans.__('What happened to this server at its starts'),
        icon: kplIcon,
        make: async () => {
          const { historyWidget } = await import('../panels/history/page');
          const name = PageConfig.getOption('hubServerName');
          return historyWidget(context, () =>
            readHistory(serverSettings, name)
          );
        }
      }
    ];
  }

  /**
   * Add the command that shows a page.
   */
  export function addPage(
    { commands, shell }: JupyterFrontEnd,
    page: IPage
  ): WidgetTracker<MainAreaWidget> {
    const { command, name, label, caption, icon } = page;
    const tracker = new WidgetTracker<MainAreaWidget>({
      namespace: `kpl-lab-${name}`
    });
    commands.addCommand(command, {
      label,
      caption,
      icon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: async () => {
        let widget = tracker.currentWidget;
        if (!widget) {
          widget = framed(page, await page.make());
          await tracker.add(widget);
          shell.add(widget, 'main');
        }
        shell.activateById(widget.id);
      }
    });
    return tracker;
  }

  /**
   * The page as a tab of the main area.
   */
  function framed(page: IPage, content: Widget): MainAreaWidget {
    const widget = new MainAreaWidget({ content });
    widget.id = `kpl-lab-${page.name}`;
    widget.toolbar.hide();
    widget.title.label = page.label;
    widget.title.caption = page.caption;
    widget.title.icon = page.icon;
    widget.title.closable = true;
    return widget;
  }
}
