import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

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
  const { capacity } = place;
  if (!capacity) {
    return <></>;
  }
  const words = [
    trans.__(
      'Platform: CPU %1/%2',
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
