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
import { confirmDelete } from '../dialogs';
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
    execute: args =>
      attempt(async () => {
        const task = target(args);
        if (task) {
          client.lists.tasks.put(await client.tasks.stop(task.id));
        }
      })
  });
  commands.addCommand(CommandIDs.startService, {
    label: trans.__('Start'),
    icon: runIcon,
    describedBy,
    execute: args => attempt(() => Private.run(context, target(args), true))
  });
  commands.addCommand(CommandIDs.stopService, {
    label: trans.__('Stop'),
    caption: trans.__('The address stays the same'),
    icon: stopIcon,
    describedBy,
    execute: args => attempt(() => Private.run(context, target(args), false))
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
  export async function run(
    { client }: ICommandContext,
    service: ITarget | null,
    running: boolean
  ): Promise<void> {
    if (service) {
      const changed = await client.services.update(service.id, { running });
      client.lists.services.put(changed);
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
