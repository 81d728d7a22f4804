import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IPage } from '../../api/common';
import type { ServerStart } from '../../api/types';
import {
  Empty,
  ErrorNotice,
  Skeleton,
  StateChip
} from '../../components/basic';
import type { IKplContext } from '../../context';
import { KplContext, useKpl } from '../../context';
import { exact } from '../../format';
import { useRemote } from '../../hooks';
import { useEventsOf } from '../../hooks/events';
import { levelWords, serverEventWords } from '../../serverwords';

/**
 * What happened to this server at its starts, newest first; kept true by the event stream.
 */
export function History(props: {
  read: () => Promise<IPage<ServerStart>>;
}): JSX.Element {
  const { trans } = useKpl();
  const remote = useRemote(props.read, 'history', useEventsOf('servers'));
  if (remote.error && !remote.value) {
    return <ErrorNotice error={remote.error} retry={remote.reload} />;
  }
  if (!remote.value) {
    return <Skeleton rows={4} />;
  }
  const starts = remote.value.items;
  return (
    <div className="kpl-Page kpl-History">
      <h1>{trans.__('What happened to this server')}</h1>
      {starts.length === 0 && (
        <Empty
          text={trans.__(
            'The platform has no starts of this server on record.'
          )}
        />
      )}
      {starts.map((start, at) => (
        <Start key={start.id} start={start} isOpen={at === 0} />
      ))}
    </div>
  );
}

/**
 * One start with its events.
 */
function Start(props: { start: ServerStart; isOpen: boolean }): JSX.Element {
  const { trans } = useKpl();
  const { start } = props;
  return (
    <details className="kpl-History-start" open={props.isOpen}>
      <summary>
        <time dateTime={start.created_at}>{exact(start.created_at)}</time>
        {' · '}
        {start.image} <StateChip state={start.state} />
      </summary>
      {start.events.length === 0 ? (
        <p className="kpl-quiet">
          {trans.__('Its events are older than what is kept.')}
        </p>
      ) : (
        <table className="kpl-History-events">
          <thead>
            <tr>
              <th scope="col">{trans.__('Time')}</th>
              <th scope="col">{trans.__('Level')}</th>
              <th scope="col">{trans.__('Event')}</th>
              <th scope="col">{trans.__('What it means')}</th>
            </tr>
          </thead>
          <tbody>
            {start.events.map(event => (
              <tr key={event.id} data-level={event.level}>
                <td>
                  <time dateTime={event.time} title={exact(event.time)}>
                    {new Date(event.time).toLocaleTimeString()}
                  </time>
                </td>
                <td className="kpl-History-level">
                  {levelWords(trans, event.level ?? 'normal')}
                </td>
                <td>{String(event.data?.event ?? '')}</td>
                <td>{serverEventWords(trans, event)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </details>
  );
}

/**
 * The page as a widget.
 */
export function historyWidget(
  context: IKplContext,
  read: () => Promise<IPage<ServerStart>>
): ReactWidget {
  const widget = ReactWidget.create(
    <KplContext.Provider value={context}>
      <History read={read} />
    </KplContext.Provider>
  );
  widget.addClass('kpl-Main');
  return widget;
}
