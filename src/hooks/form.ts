import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import * as React from 'react';

import type { IWatch } from '../api/local';
import { useKpl } from '../context';
import { PlatformError } from '../request';
import type { IAction } from '.';
import { useAction } from '.';

/**
 * The values of a form, beginning with those that were sent the last time.
 *
 * @param key Names the form; under another one, and with other defaults, it begins anew.
 * @param initial The defaults.
 * @param fill Puts in what wins over what was sent before, e.g. what the form was opened with.
 * @returns The values, a change, and what remembers them.
 */
export function useFormValues<T extends object>(
  key: string,
  initial: T,
  fill: (values: T) => T
): [T, (change: Partial<T>) => void, () => void] {
  const { state } = useKpl();
  const [values, setValues] = React.useState(() => fill(initial));
  const begun = `${key} ${JSON.stringify(initial)}`;
  const [shown, setShown] = React.useState(begun);
  if (shown !== begun) {
    setShown(begun);
    setValues(fill(initial));
  }
  const isTouched = React.useRef(false);
  const stored = `kpl-lab:form:${key}`;
  const latest = React.useRef(fill);
  latest.current = fill;
  React.useEffect(() => {
    let isCurrent = true;
    isTouched.current = false;
    void state?.fetch(stored).then(last => {
      if (isCurrent && last && !isTouched.current) {
        setValues(now => latest.current({ ...now, ...(last as Partial<T>) }));
      }
    });
    return () => {
      isCurrent = false;
    };
  }, [state, stored, begun]);
  const change = (part: Partial<T>): void => {
    isTouched.current = true;
    setValues(now => ({ ...now, ...part }));
  };
  const remember = (): void => {
    void state?.save(stored, values as unknown as ReadonlyPartialJSONObject);
  };
  return [values, change, remember];
}

/**
 * What stops moving for a moment: requests follow it, not every key.
 */
export function useSettled<T>(value: T, milliseconds = 350): T {
  const [settled, setSettled] = React.useState(value);
  React.useEffect(() => {
    const timer = window.setTimeout(() => setSettled(value), milliseconds);
    return () => window.clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}

/**
 * A send of a form: how far it is, and how to give it up.
 */
export interface ISending extends Pick<IAction, 'isBusy' | 'error'> {
  /**
   * The bytes sent and the bytes in all, null for unknown; null where no folder is being sent.
   */
  progress: { sent: number; total: number | null } | null;
  isCancelling: boolean;
  cancel: () => void;
  run: (work: (watch: IWatch) => Promise<unknown>) => void;
}

/**
 * Run one send at a time; one that was given up is no error.
 */
export function useSending(): ISending {
  const { isBusy, error, run } = useAction();
  const [progress, setProgress] = React.useState<ISending['progress']>(null);
  const [isCancelling, setCancelling] = React.useState(false);
  const abort = React.useRef<AbortController | null>(null);
  return {
    isBusy,
    error,
    progress,
    isCancelling,
    cancel: () => {
      setCancelling(true);
      abort.current?.abort();
    },
    run: work =>
      run(async () => {
        const controller = (abort.current = new AbortController());
        try {
          await work({
            signal: controller.signal,
            onProgress: (sent, total) => setProgress({ sent, total })
          });
        } catch (reason) {
          if (PlatformError.from(reason).code !== 'stopped') {
            throw reason;
          }
        } finally {
          setProgress(null);
          setCancelling(false);
        }
      })
  };
}
