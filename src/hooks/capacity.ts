import * as React from 'react';

import type { CapacityView } from '../api/types';
import { useKpl } from '../context';
import { useModel } from '.';

/**
 * What there is and what of it is promised, kept true; null before the first answer.
 */
export function useCapacity(): CapacityView | null {
  const { place } = useKpl().client;
  useModel(place);
  React.useEffect(() => {
    const activity = place.activate();
    return () => activity.dispose();
  }, [place]);
  return place.capacity;
}
