import type { VDomRenderer } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

import { PlatformError } from '../request';

/**
 * Paint again whenever a signal is emitted.
 */
export function useSignal<T, A>(signal: ISignal<T, A>): void {
  const [, paint] = React.useReducer((tick: number) => tick + 1, 0);
  React.useEffect(() => {
    const slot = (): void => paint();
    signal.connect(slot);
    // What happened between the first paint and now is shown, too.
    paint();
    return () => {
      signal.disconnect(slot);
    };
  }, [signal]);
}

/**
 * Paint again whenever a model changes.
 */
export function useModel(model: VDomRenderer.IModel): void {
  useSignal(model.stateChanged);
}

/**
 * The time, moving on every `seconds`.
 */
export function useNow(seconds = 30): number {
  const [now, setNow] = React.useState(() => Date.now());
  React.useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), seconds * 1000);
    return () => window.clearInterval(timer);
  }, [seconds]);
  return now;
}

/**
 * What was read, and how to read it again.
 */
export interface IRemote<T> {
  value: T | null;
  error: PlatformError | null;
  isLoading: boolean;
  reload: () => void;
}

/**
 * Read something when a component appears and whenever `key` changes; the last value
 * stays until the next is there.
 *
 * @param read Makes the request; null where there is nothing to read.
 * @param key Names what is read.
 * @param revision Grows when what is read may have changed.
 */
export function useRemote<T>(
  read: (() => Promise<T>) | null,
  key: string,
  revision = 0
): IRemote<T> {
  const [state, setState] = React.useState<{
    key: string;
    value: T | null;
    error: PlatformError | null;
  }>({ key, value: null, error: null });
  const [tries, setTries] = React.useState(0);
  const latest = React.useRef(read);
  latest.current = read;
  React.useEffect(() => {
    let isCurrent = true;
    const reading = latest.current?.();
    reading?.then(
      value => isCurrent && setState({ key, value, error: null }),
      (error: unknown) =>
        isCurrent &&
        setState(old => ({
          key,
          value: old.key === key ? old.value : null,
          error: PlatformError.from(error)
        }))
    );
    return () => {
      isCurrent = false;
    };
  }, [key, revision, tries]);
  const isKnown = state.key === key;
  return {
    value: isKnown ? state.value : null,
    error: isKnown ? state.error : null,
    isLoading: !isKnown || (state.value === null && state.error === null),
    reload: () => setTries(tries + 1)
  };
}

/**
 * Whether a request of a button is under way, and what it failed with.
 */
export interface IAction {
  isBusy: boolean;
  error: PlatformError | null;
  run: (work: () => Promise<unknown>) => void;
}

/**
 * Run one request at a time for a button or form.
 */
export function useAction(): IAction {
  const [isBusy, setBusy] = React.useState(false);
  const [error, setError] = React.useState<PlatformError | null>(null);
  const isMounted = React.useRef(true);
  React.useEffect(() => {
    isMounted.current = true;
    return () => {
      isMounted.current = false;
    };
  }, []);
  const run = (work: () => Promise<unknown>): void => {
    setBusy(true);
    setError(null);
    work()
      .catch((reason: unknown) => {
        if (isMounted.current) {
          setError(PlatformError.from(reason));
        }
      })
      .finally(() => {
        if (isMounted.current) {
          setBusy(false);
        }
      });
  };
  return { isBusy, error, run };
}

/**
 * Whether the theme is dark; charts are drawn anew when it changes.
 */
export function useTheme(): boolean {
  const read = (): boolean => document.body.dataset.jpThemeLight === 'false';
  const [isDark, setDark] = React.useState(read);
  React.useEffect(() => {
    const observer = new MutationObserver(() => setDark(read()));
    observer.observe(document.body, {
      attributes: true,
      attributeFilter: ['data-jp-theme-light', 'data-jp-theme-name']
    });
    return () => observer.disconnect();
  }, []);
  return isDark;
}
