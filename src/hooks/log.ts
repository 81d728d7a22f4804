import * as React from 'react';

import type { LogPage } from '../api/types';
import { useKpl } from '../context';
import { LogModel } from '../models/log';

/**
 * A log that is followed as long as the component is shown; null for a moment at first.
 *
 * @param source What the stream calls it, e.g. `tasks:42`.
 */
export function useLog(
  source: string,
  read: (offset: number) => Promise<LogPage>
): LogModel | null {
  const { client } = useKpl();
  const [model, setModel] = React.useState<LogModel | null>(null);
  const latest = React.useRef(read);
  latest.current = read;
  React.useEffect(() => {
    const created = new LogModel({
      source,
      stream: client.stream,
      read: offset => latest.current(offset)
    });
    setModel(created);
    return () => {
      setModel(null);
      created.dispose();
    };
  }, [client, source]);
  return model;
}
