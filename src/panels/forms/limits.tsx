import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { PoolView, Resources } from '../../api/types';
import { SelectField, fieldError } from '../../components/form';
import type { IBounds } from '../../components/number';
import { NumberField, numberProblem } from '../../components/number';
import { useKpl } from '../../context';
import { memory, trimmed } from '../../format';
import { useCapacity } from '../../hooks/capacity';
import { amountOf, knownPool, poolOf } from '../../pools';
import type { PlatformError } from '../../request';

/**
 * What can be set for a run; null stands for what the function declares.
 */
export type Limit = 'cpu' | 'memory' | 'gpu';
type Values = Record<Limit, number | null> & {
  /**
   * Resource pool; empty for one's first.
   */
  pool: string;
};
type Amounts = Pick<Resources, Limit>;

const BOUNDS: Record<Limit, IBounds> = {
  cpu: { min: 0.1, step: 0.5 },
  memory: { min: 16, step: 256 },
  gpu: {}
};

/**
 * Ceilings of a run, and how they stand to what there is.
 */
export interface ILimits {
  values: Values;
  defaults: Amounts;

  /**
   * Whether GPUs are spoken of.
   */
  hasGpu: boolean;
  problems: Partial<Record<Limit, string>>;

  /**
   * What is sent as the pool: one that was chosen earlier may be gone.
   */
  pool: string;

  /**
   * The pools to choose from; none where there is no choice.
   */
  pools: PoolView[];

  /**
   * What stops the form from being sent; null for nothing.
   */
  missing: string | null;
}

/**
 * Compare ceilings with all that there is: what is above it could never start.
 *
 * @param count How many are started with them.
 */
export function useLimits(
  values: Values,
  defaults: Amounts = { cpu: 0, memory: 0, gpu: 0 },
  count = 1
): ILimits {
  const { trans } = useKpl();
  const capacity = useCapacity();
  const all = capacity?.pools ?? [];
  const pools = all.length > 1 ? all : [];
  const problems: ILimits['problems'] = {};
  let missing: string | null = null;
  for (const kind of ['cpu', 'memory', 'gpu'] as const) {
    const most = capacity
      ? amountOf(capacity, values.pool, kind).limit
      : Infinity;
    const wanted = (values[kind] ?? defaults[kind]) * count;
    const problem =
      numberProblem(trans, values[kind], BOUNDS[kind]) ??
      (wanted > most
        ? pools.length > 0
          ? trans.__(
              'This pool has %1 for you; choose less, or another pool.',
              Private.words(kind, most)
            )
          : Private.tooMuch(trans, kind, most, count)
        : null);
    if (problem !== null) {
      problems[kind] = problem;
      missing ??= trans.__('%1: %2', Private.label(trans, kind), problem);
    }
  }
  const there = capacity ? amountOf(capacity, values.pool, 'gpu').limit : 0;
  const hasGpu = there > 0 || defaults.gpu > 0 || Boolean(values.gpu);
  const pool = knownPool(capacity, values.pool);
  return { values, defaults, hasGpu, problems, missing, pool, pools };
}

/**
 * The pool where there are several, CPU, memory and GPU; empty fields stand for what the function
 * declares.
 */
export function Limits(props: {
  limits: ILimits;
  onChange: (change: Partial<Values>) => void;
  error: PlatformError | null;
}): JSX.Element {
  const { trans } = useKpl();
  const capacity = useCapacity();
  const { limits, onChange, error } = props;
  const { values, defaults, problems, hasGpu, pools } = limits;
  const chosen = poolOf(capacity, values.pool);
  const hints = {
    cpu: trans.__('slow at this limit'),
    memory: trans.__('killed above it'),
    gpu: undefined
  };
  const kinds: Limit[] = hasGpu ? ['cpu', 'memory', 'gpu'] : ['cpu', 'memory'];
  return (
    <>
      {pools.length > 0 && (
        <SelectField
          label={trans.__('Resource pool')}
          value={chosen?.name ?? ''}
          onChange={pool => onChange({ pool })}
          error={fieldError(error, 'pool')}
          hint={chosen?.description}
          options={pools.map(pool => ({
            value: pool.name,
            label: pool.dedicated
              ? trans.__('%1 (dedicated)', pool.title)
              : pool.title
          }))}
        />
      )}
      <div className="kpl-Form-row">
        {kinds.map(kind => (
          <NumberField
            key={kind}
            label={Private.label(trans, kind)}
            value={values[kind]}
            {...BOUNDS[kind]}
            placeholder={String(defaults[kind])}
            error={problems[kind] ?? fieldError(error, `resources.${kind}`)}
            hint={hints[kind]}
            onChange={value => onChange({ [kind]: value })}
          />
        ))}
      </div>
    </>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export function label(trans: TranslationBundle, kind: Limit): string {
    switch (kind) {
      case 'cpu':
        return trans.__('CPU cores');
      case 'memory':
        return trans.__('Memory, MiB');
      case 'gpu':
        return trans.__('GPUs');
    }
  }

  export function tooMuch(
    trans: TranslationBundle,
    kind: Limit,
    most: number,
    count: number
  ): string {
    if (most === 0) {
      return trans.__('The machine has none.');
    }
    if (count === 1) {
      return trans.__(
        'The machine has %1 in all; choose less.',
        words(kind, most)
      );
    }
    return trans.__(
      'The machine has %2 for each of %1; choose less.',
      count,
      words(kind, most / count)
    );
  }

  export function words(kind: Limit, amount: number): string {
    switch (kind) {
      case 'cpu':
        return trimmed(Math.floor(amount * 10) / 10, 1);
      case 'memory':
        return memory(amount);
      case 'gpu':
        return String(Math.floor(amount));
    }
  }
}
