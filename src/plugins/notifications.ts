import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import type { End } from '../models/ends';
import { Ends } from '../models/ends';
import { IPlatformClient, IWorkbench } from '../tokens';

/**
 * How long a notification stays, in milliseconds: what needs somebody stays longer.
 */
const STAYS = { good: 8_000, bad: 30_000 };

/**
 * Notifies when a task of the user's ends or fails, or a service of theirs fails.
 */
export const notificationsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:notifications',
  description: 'Notifies when tasks end and when services fail.',
  autoStart: true,
  requires: [IPlatformClient, IWorkbench],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    client: IPlatformClient,
    workbench: IWorkbench,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    let user: Promise<string> | null = null;
    const ends = new Ends({
      stream: client.stream,
      user: () => (user ??= client.servers.me().then(me => me.name)),
      build: id => client.builds.get(id),
      task: id => client.tasks.get(id),
      service: id => client.services.get(id)
    });
    ends.ended.connect(async (_, end) => {
      const { reasonWords } = await import('../states');
      const isGood = end.item.state === 'succeeded';
      const tell = isGood ? Notification.success : Notification.error;
      tell(Private.words(trans, end, reasonWords(trans, end.item.reason)), {
        autoClose: isGood ? STAYS.good : STAYS.bad,
        actions: [
          {
            label: trans.__('Open'),
            callback: () => workbench.openDetail(end.kind, end.item.id)
          }
        ]
      });
    });
    void app.restored.then(() => client.stream.start());
  }
};

/**
 * A namespace for private helpers.
 */
namespace Private {
  export function words(
    trans: TranslationBundle,
    end: End,
    reason: string
  ): string {
    const { name, state } = end.item;
    if (end.kind === 'services') {
      return trans.__('Service “%1”: %2', name, reason);
    }
    if (end.kind === 'builds') {
      return state === 'succeeded'
        ? trans.__('The image “%1” is built.', name)
        : trans.__('The image “%1” could not be built: %2', name, reason);
    }
    switch (state) {
      case 'succeeded':
        return end.item.headline
          ? trans.__('Task “%1” is done: %2', name, end.item.headline)
          : trans.__('Task “%1” is done.', name);
      case 'stopped':
        return trans.__('Task “%1” was stopped.', name);
      default:
        return trans.__('Task “%1”: %2', name, reason);
    }
  }
}
