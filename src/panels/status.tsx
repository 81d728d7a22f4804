import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';
import * as React from 'react';

import type { IServerUsage } from '../api/local';

import { memory, trimmed } from '../format';
import { useModel, useSignal } from '../hooks';
import type { IPlatformClient } from '../tokens';

/**
 * One line: what is in use, and how many tasks run.
 */
export function Status(props: {
  client: IPlatformClient;
  trans: TranslationBundle;
  onClick: () => void;
}): JSX.Element {
  const { client, trans, onClick } = props;
  const { place, stream } = client;
  useModel(place);
  useSignal(stream.stateChanged);
  React.useEffect(() => {
    const activity = place.activate();
    return () => activity.dispose();
  }, [place]);
  const usage = useServerUsage(client, trans);
  const { capacity } = place;
  if (!capacity) {
    return <></>;
  }
  const words = [
    trans.__(
      'CPU %1/%2',
      trimmed(capacity.cpu.used, 1),
      trimmed(capacity.cpu.limit, 1)
    ),
    trans.__(
      'Memory %1/%2',
      trimmed(capacity.memory.used / 1024, 1),
      memory(capacity.memory.limit)
    )
  ];
  if (capacity.gpu.limit > 0) {
    words.push(trans.__('GPU %1/%2', capacity.gpu.used, capacity.gpu.limit));
  }
  if (capacity.running_tasks > 0) {
    words.push(
      trans._n('%1 task runs', '%1 tasks run', capacity.running_tasks)
    );
  }
  if (usage?.memory_limit) {
    words.unshift(
      trans.__(
        'Server memory %1/%2',
        trimmed(usage.memory / 1024, 1),
        memory(usage.memory_limit)
      )
    );
  }
  if (stream.state === 'reconnecting') {
    words.push(trans.__('reconnecting…'));
  }
  return (
    <button
      type="button"
      className="kpl-Status"
      title={trans.__('KPL Lab: what is in use of what may be promised')}
      onClick={onClick}
    >
      {words.join(' · ')}
    </button>
  );
}

/**
 * How often this server is measured, in milliseconds.
 */
const INTERVAL = 10_000;

/**
 * The share of its memory from which on the user is warned.
 */
const NEARLY_FULL = 0.9;

/**
 * What this server uses, measured while the page can be seen; a warning before it is full.
 */
function useServerUsage(
  client: IPlatformClient,
  trans: TranslationBundle
): IServerUsage | null {
  const [usage, setUsage] = React.useState<IServerUsage | null>(null);
  React.useEffect(() => {
    const poll = new Poll({
      name: 'kpl-lab:usage',
      standby: 'when-hidden',
      frequency: { interval: INTERVAL, backoff: true, max: 120_000 },
      factory: async () => setUsage(await client.local.usage())
    });
    return () => poll.dispose();
  }, [client]);
  const isNearlyFull =
    usage !== null &&
    usage.memory_limit !== null &&
    usage.memory > usage.memory_limit * NEARLY_FULL;
  const limit = usage?.memory_limit ?? null;
  const used = React.useRef(0);
  used.current = usage?.memory ?? 0;
  React.useEffect(() => {
    if (isNearlyFull) {
      Notification.warning(
        trans.__(
          'This server uses %1 of %2 memory; above it kernels are killed.',
          memory(used.current),
          memory(limit)
        ),
        { autoClose: 20_000 }
      );
    }
  }, [isNearlyFull, limit, trans]);
  return usage;
}
