import * as React from 'react';

import type { IPage } from '../api/common';
import type { Event as PlatformEvent } from '../api/types';
import { useKpl } from '../context';
import { exact } from '../format';
import { useRemote } from '../hooks';
import { eventWords } from '../words';
import { ErrorNotice, Skeleton, TimeAgo } from './basic';

/**
 * What happened to a resource, newest first; progress and measurements are left out,
 * they have places of their own.
 */
export function EventList(props: {
  read: () => Promise<IPage<PlatformEvent>>;
  name: string;
  revision: number;
}): JSX.Element {
  const { trans } = useKpl();
  const remote = useRemote(props.read, props.name, props.revision);
  if (remote.error && !remote.value) {
    return <ErrorNotice error={remote.error} retry={remote.reload} />;
  }
  if (!remote.value) {
    return <Skeleton rows={3} />;
  }
  const events = remote.value.items
    .map(event => ({ ...event, words: eventWords(trans, event) }))
    .filter(event => event.words !== '');
  return (
    <section className="kpl-Events">
      <h2>{trans.__('What happened')}</h2>
      {events.length === 0 && (
        <p className="kpl-quiet">{trans.__('Nothing yet.')}</p>
      )}
      <ol>
        {events.map(event => (
          <li key={event.id} data-level={event.level}>
            <span className="kpl-Events-time" title={exact(event.time)}>
              <TimeAgo time={event.time} />
            </span>
            <span>{event.words}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
