import type { Amount, CapacityView, PoolView } from './api/types';

/**
 * What is counted.
 */
export type Kind = 'cpu' | 'memory' | 'gpu';

/**
 * The pool of a name, or the one that is used where none is named; null where there are none.
 */
export function poolOf(
  capacity: CapacityView | null,
  name: string
): PoolView | null {
  const pools = capacity?.pools ?? [];
  return pools.find(pool => pool.name === name) ?? pools[0] ?? null;
}

/**
 * The name of a pool if it is there; empty, which stands for one's first, where it is not.
 */
export function knownPool(capacity: CapacityView | null, name: string): string {
  return capacity?.pools?.some(pool => pool.name === name) ? name : '';
}

/**
 * How much there is for whoever asks, and how much of it is promised: of all, of the pool, and of
 * their own quota in it, whichever is least.
 */
export function amountOf(
  capacity: CapacityView,
  name: string,
  kind: Kind
): Amount {
  const pool = poolOf(capacity, name);
  const all = [capacity[kind], pool?.[kind], pool?.quota[kind]].filter(
    (one): one is Amount => one !== undefined
  );
  const limit = Math.min(...all.map(one => one.limit));
  const free = Math.min(...all.map(one => one.limit - one.used));
  return { limit, used: limit - free };
}
