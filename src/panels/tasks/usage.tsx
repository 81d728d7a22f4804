import * as React from 'react';

import type { TaskDetail } from '../../api/types';
import { Empty, Meter } from '../../components/basic';
import { useKpl } from '../../context';
import { duration, memory, trimmed } from '../../format';

/**
 * What the task used of its limits.
 */
export function TaskUsage(props: { task: TaskDetail }): JSX.Element {
  const { trans } = useKpl();
  const { usage, resources, state } = props.task;
  if (!usage) {
    return <Empty text={trans.__('Nothing was measured yet.')} />;
  }
  const peak = usage.memory_peak ?? 0;
  const share = peak / resources.memory;
  return (
    <div className="kpl-Usage">
      {state === 'running' && (
        <>
          <Row
            label={trans.__('CPU now')}
            value={usage.cpu ?? 0}
            limit={resources.cpu}
            words={trans.__(
              '%1 of %2 cores',
              trimmed(usage.cpu ?? 0, 1),
              trimmed(resources.cpu, 1)
            )}
          />
          <Row
            label={trans.__('Memory now')}
            value={usage.memory ?? 0}
            limit={resources.memory}
            words={trans.__(
              '%1 of %2',
              memory(usage.memory),
              memory(resources.memory)
            )}
          />
        </>
      )}
      <Row
        label={trans.__('Memory at most')}
        value={peak}
        limit={resources.memory}
        tone={share > 0.95 ? 'bad' : share > 0.8 ? 'warn' : 'busy'}
        words={trans.__(
          '%1 of %2',
          memory(usage.memory_peak),
          memory(resources.memory)
        )}
      />
      <p>{trans.__('CPU time: %1', duration(trans, usage.cpu_seconds))}</p>
      {share > 0 && share < 0.4 && state === 'succeeded' && (
        <p className="kpl-quiet">
          {trans.__(
            'A limit of %1 would have been enough with room to spare.',
            memory(Private.proposal(peak))
          )}
        </p>
      )}
    </div>
  );
}

/**
 * One measured amount against its limit.
 */
function Row(props: {
  label: string;
  value: number;
  limit: number;
  words: string;
  tone?: 'busy' | 'warn' | 'bad';
}): JSX.Element {
  return (
    <div className="kpl-Usage-row">
      <span>{props.label}</span>
      <Meter
        value={props.value}
        limit={props.limit}
        label={props.label}
        tone={props.tone}
      />
      <span>{props.words}</span>
    </div>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Half as much again as was used, in steps of 256 MiB.
   */
  export function proposal(peak: number): number {
    return Math.ceil((peak * 1.5) / 256) * 256;
  }
}
