import * as React from 'react';

import type { Event as PlatformEvent } from '../api/types';
import { useKpl } from '../context';

/**
 * Grows whenever something happens to one of a kind: what is read beside a list follows it.
 *
 * @param resource The plural noun that events carry, e.g. `builds`.
 */
export function useEventsOf(resource: string): number {
  const { client } = useKpl();
  const [revision, grow] = React.useReducer((tick: number) => tick + 1, 0);
  React.useEffect(() => {
    const { stream } = client;
    const look = (_: unknown, event: PlatformEvent): void => {
      if (event.resource === resource) {
        grow();
      }
    };
    stream.received.connect(look);
    stream.resync.connect(grow);
    stream.start();
    return () => {
      stream.received.disconnect(look);
      stream.resync.disconnect(grow);
    };
  }, [client, resource]);
  return revision;
}
