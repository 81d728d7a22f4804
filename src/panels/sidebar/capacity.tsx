import * as React from 'react';

import type { Amount } from '../../api/types';
import { CommandIDs } from '../../commandids';
import { Button, Meter } from '../../components/basic';
import { useKpl } from '../../context';
import { bytes, memory, trimmed } from '../../format';
import { useModel, useSignal } from '../../hooks';

/**
 * What is promised of the machine, at the top of the sidebar; a click shows the details.
 */
export function Capacity(): JSX.Element {
  const { client, commands, trans } = useKpl();
  const { place, stream } = client;
  useModel(place);
  useSignal(stream.stateChanged);
  React.useEffect(() => {
    const activity = place.activate();
    return () => activity.dispose();
  }, [place]);
  const [isOpen, setOpen] = React.useState(false);
  const capacity = place.capacity;
  if (!capacity) {
    return (
      <div className="kpl-Capacity">
        <span className="kpl-quiet" role="status">
          {place.error
            ? trans.__('The platform does not answer.')
            : trans.__('connecting…')}
        </span>
      </div>
    );
  }
  const isStale = stream.state === 'reconnecting' || place.error !== null;
  const { cpu, gpu } = capacity;
  return (
    <div className="kpl-Capacity" data-stale={isStale || undefined}>
      <button
        type="button"
        className="kpl-Capacity-bar"
        aria-expanded={isOpen}
        title={trans.__('What is in use of what may be promised')}
        onClick={() => setOpen(!isOpen)}
      >
        <Cell
          label={trans.__('CPU')}
          amount={cpu}
          words={trans.__(
            '%1 CPU',
            `${trimmed(cpu.used, 1)}/${trimmed(cpu.limit, 1)}`
          )}
        />
        <Cell
          label={trans.__('Memory')}
          amount={capacity.memory}
          words={Private.share(capacity.memory)}
        />
        {gpu.limit > 0 && (
          <Cell
            label={trans.__('GPU')}
            amount={gpu}
            words={trans.__('%1 GPU', `${gpu.used}/${gpu.limit}`)}
          />
        )}
      </button>
      {isOpen && (
        <dl className="kpl-Facts kpl-Capacity-details">
          <dt>{trans.__('Tasks')}</dt>
          <dd>
            {trans.__(
              '%1 running, %2 queued',
              capacity.running_tasks,
              capacity.queued_tasks
            )}
          </dd>
          <dt>{trans.__('Memory free')}</dt>
          <dd>{memory(capacity.memory.limit - capacity.memory.used)}</dd>
          <dt>{trans.__('Storage free')}</dt>
          <dd>{bytes(capacity.storage_free_bytes)}</dd>
          <dt>{trans.__('This server')}</dt>
          <dd>
            <Button
              onClick={() => void commands.execute(CommandIDs.showHistory)}
            >
              {trans.__('Show events')}
            </Button>
          </dd>
        </dl>
      )}
      {isStale && (
        <span className="kpl-Capacity-stale" role="status">
          {trans.__('reconnecting…')}
        </span>
      )}
    </div>
  );
}

/**
 * One kind of capacity: a bar over its words.
 */
function Cell(props: {
  label: string;
  amount: Amount;
  words: string;
}): JSX.Element {
  const { used, limit } = props.amount;
  const share = limit > 0 ? used / limit : 0;
  return (
    <span className="kpl-Capacity-cell">
      <Meter
        value={used}
        limit={limit}
        label={props.label}
        tone={share >= 0.95 ? 'bad' : share >= 0.8 ? 'warn' : 'busy'}
      />
      <span className="kpl-Capacity-words">{props.words}</span>
    </span>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Memory as `4.5/15.6 GiB`.
   */
  export function share(amount: Amount): string {
    const used = trimmed(amount.used / 1024, 1);
    return `${used}/${memory(amount.limit)}`;
  }
}
