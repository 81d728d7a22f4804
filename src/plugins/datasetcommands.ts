import { Notification } from '@jupyterlab/apputils';
import { codeIcon } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';

import { CommandIDs } from '../commandids';
import { mountIcon, unmountIcon } from '../icons';
import { datasetCode, mountPath } from '../snippets';
import type { ICommandContext } from './commands';

/**
 * The commands of datasets: mount, unmount, and copy code where no notebook takes it.
 */
export function addDatasetCommands(context: ICommandContext): void {
  const { app, attempt, client, trans, target } = context;
  const { commands } = app;
  const describedBy = { args: context.targetArgs as ReadonlyJSONObject };
  // A double click asks twice and shall be told once.
  const mounting = new Set<number>();
  commands.addCommand(CommandIDs.mountDataset, {
    label: trans.__('Mount'),
    caption: trans.__('Show it in the file browser, read-only'),
    icon: mountIcon,
    describedBy,
    execute: args =>
      attempt(async () => {
        const dataset = target(args);
        if (!dataset || mounting.has(dataset.id)) {
          return;
        }
        mounting.add(dataset.id);
        const mount = await client.place
          .mount(String(dataset.id))
          .finally(() => mounting.delete(dataset.id));
        Notification.success(
          trans.__('%1 is at %2.', mount.dataset, `~/${mount.path}`),
          {
            autoClose: 5000,
            actions: [
              {
                label: trans.__('Show'),
                callback: () =>
                  void commands.execute('filebrowser:go-to-path', {
                    path: mount.path,
                    dontShowBrowser: false
                  })
              },
              {
                label: trans.__('Insert code'),
                callback: () =>
                  void commands.execute(CommandIDs.insertDatasetCode, {
                    ...dataset
                  })
              }
            ]
          }
        );
      })
  });
  commands.addCommand(CommandIDs.unmountDataset, {
    label: trans.__('Unmount'),
    icon: unmountIcon,
    describedBy,
    execute: args =>
      attempt(async () => {
        const dataset = target(args);
        const mount = dataset && client.place.mountOf(dataset.id);
        if (mount) {
          await client.place.unmount(mount);
        }
      })
  });
  commands.addCommand(CommandIDs.insertDatasetCode, {
    label: trans.__('Insert Code for Dataset'),
    caption: trans.__('Put the lines that read it into the current cell'),
    icon: codeIcon,
    describedBy,
    execute: args =>
      attempt(async () => {
        const chosen = target(args);
        if (!chosen) {
          return;
        }
        const dataset = await client.datasets.get(chosen.id);
        const isPicture = dataset.versions.some(version =>
          version.fields.some(field => field.name === 'contentType')
        );
        const code = datasetCode(
          mountPath(dataset.name, client.place.mountOf(dataset.id)),
          isPicture
        );
        await commands.execute(CommandIDs.insertCode, { code });
      })
  });
}
