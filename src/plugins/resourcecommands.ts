import { Clipboard, Notification } from '@jupyterlab/apputils';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import {
  deleteIcon,
  linkIcon,
  refreshIcon,
  runIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';

import { CommandIDs } from '../commandids';
import { confirmDelete, confirmStop } from '../dialogs';
import { singularKind } from '../kinds';
import type { ResourceKind } from '../tokens';
import type { ICommandContext, ITarget } from './commands';

/**
 * The commands that work on one resource: stop, start, delete, copy the link.
 */
export function addResourceCommands(context: ICommandContext): void {
  const { app, attempt, client, trans, target } = context;
  const { commands } = app;
  const describedBy = { args: context.targetArgs as ReadonlyJSONObject };
  commands.addCommand(CommandIDs.stopTask, {
    label: trans.__('Stop'),
    icon: stopIcon,
    describedBy,
    execute: args => attempt(() => Private.stopTask(context, target(args)))
  });
  commands.addCommand(CommandIDs.startService, {
    label: trans.__('Start'),
    icon: runIcon,
    describedBy,
    execute: args => attempt(() => Private.start(context, target(args)))
  });
  commands.addCommand(CommandIDs.stopService, {
    label: trans.__('Stop'),
    caption: trans.__('The address stays the same'),
    icon: stopIcon,
    describedBy,
    execute: args => attempt(() => Private.stopService(context, target(args)))
  });
  commands.addCommand(CommandIDs.lookAtImage, {
    label: trans.__('Look again'),
    caption: trans.__('What could not be had may be there by now'),
    icon: refreshIcon,
    describedBy,
    execute: args =>
      attempt(async () => {
        const image = target(args);
        if (image) {
          client.lists.images.put(await client.images.look(image.id));
        }
      })
  });
  commands.addCommand(CommandIDs.deleteResource, {
    label: trans.__('Delete…'),
    icon: deleteIcon,
    describedBy,
    execute: args =>
      attempt(async () => {
        const chosen = target(args);
        if (chosen) {
          await Private.remove(context, chosen);
        }
      })
  });
  commands.addCommand(CommandIDs.copyLink, {
    label: trans.__('Copy Link'),
    caption: trans.__('A link that opens this page, for you and colleagues'),
    icon: linkIcon,
    describedBy,
    execute: args => {
      const chosen = target(args);
      if (chosen) {
        Clipboard.copyToSystem(Private.link(chosen));
        Notification.success(trans.__('The link was copied.'), {
          autoClose: 2000
        });
      }
    }
  });
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export async function start(
    { client }: ICommandContext,
    service: ITarget | null
  ): Promise<void> {
    if (service) {
      const { id } = service;
      client.lists.services.put(
        await client.services.update(id, { running: true })
      );
    }
  }

  /**
   * Stop a service; one that answers, when that was confirmed.
   */
  export async function stopService(
    { client, trans }: ICommandContext,
    chosen: ITarget | null
  ): Promise<void> {
    if (chosen) {
      const service = await client.services.get(chosen.id);
      if (await confirmStop(trans, 'services', service)) {
        client.lists.services.put(
          await client.services.update(chosen.id, { running: false })
        );
      }
    }
  }

  /**
   * Stop a task; one that has begun, when that was confirmed.
   */
  export async function stopTask(
    { client, trans }: ICommandContext,
    chosen: ITarget | null
  ): Promise<void> {
    if (chosen) {
      const task = await client.tasks.get(chosen.id);
      if (await confirmStop(trans, 'tasks', task)) {
        client.lists.tasks.put(await client.tasks.stop(chosen.id));
      }
    }
  }

  /**
   * Ask for the name, then delete; the page closes itself when the event comes.
   */
  export async function remove(
    { client, trans }: ICommandContext,
    { kind, id, name }: ITarget
  ): Promise<void> {
    const known = name || (await client[kind].get(id)).name;
    if (await confirmDelete({ trans, kind, name: known })) {
      await client[kind].delete(id);
      client.lists[kind].remove(id);
    }
  }

  /**
   * The address of a page. Behind a hub it leads every user to a server of their own.
   */
  export function link({
    kind,
    id
  }: {
    kind: ResourceKind;
    id: number;
  }): string {
    const hub = PageConfig.getOption('hubPrefix');
    const root = hub
      ? URLExt.join(window.location.origin, hub, 'user-redirect/lab')
      : PageConfig.getUrl({ mode: 'multiple-document' });
    const url = new URL(root, window.location.origin);
    return `${url.href}?kpl=${singularKind(kind)}:${id}`;
  }
}
