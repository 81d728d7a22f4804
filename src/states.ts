import type { LabIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { TaskView } from './api/types';
import { percent, remaining } from './format';
import {
  stateBadIcon,
  stateDraftIcon,
  stateGoodIcon,
  stateLiveIcon,
  stateOffIcon,
  stateRunIcon,
  stateWaitIcon,
  stateWarnIcon
} from './icons';
import { reasonWords } from './reasons';
import { said } from './said';

export { reasonWords };

/**
 * How a state is meant; it gives the colour, never alone.
 */
export type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'wait' | 'off';

/**
 * The icon and tone of every state.
 */
const LOOKS: Record<string, [LabIcon, Tone]> = {
  degraded: [stateWarnIcon, 'warn'],
  deploying: [stateWaitIcon, 'busy'],
  draft: [stateDraftIcon, 'off'],
  failed: [stateBadIcon, 'bad'],
  missing: [stateWarnIcon, 'warn'],
  mounted: [stateGoodIcon, 'good'],
  mounting: [stateWaitIcon, 'busy'],
  offline: [stateOffIcon, 'off'],
  preparing: [stateWaitIcon, 'busy'],
  queued: [stateWaitIcon, 'wait'],
  ready: [stateGoodIcon, 'good'],
  running: [stateRunIcon, 'busy'],
  starting: [stateWaitIcon, 'busy'],
  stopped: [stateOffIcon, 'off'],
  stopping: [stateWaitIcon, 'busy'],
  succeeded: [stateGoodIcon, 'good'],
  unhealthy: [stateWarnIcon, 'warn'],
  unmounting: [stateWaitIcon, 'busy']
};

/**
 * The icon of a state; a running service is whole, a running task is on its way.
 */
export function stateIcon(state: string, kind = ''): LabIcon {
  if (kind === 'services' && state === 'running') {
    return stateLiveIcon;
  }
  return (LOOKS[state] ?? LOOKS.draft)[0];
}

/**
 * How a state is meant; a running service is good, a running task is busy.
 */
export function stateTone(state: string, kind = ''): Tone {
  if (kind === 'services' && state === 'running') {
    return 'good';
  }
  return (LOOKS[state] ?? LOOKS.draft)[1];
}

/**
 * A state in words.
 */
export function stateWords(trans: TranslationBundle, state: string): string {
  switch (state) {
    case 'degraded':
      return trans.__('degraded');
    case 'deploying':
      return trans.__('deploying');
    case 'draft':
      return trans.__('draft');
    case 'failed':
      return trans.__('failed');
    case 'mounted':
      return trans.__('mounted');
    case 'mounting':
      return trans.__('mounting');
    case 'offline':
      return trans.__('offline');
    case 'preparing':
      return trans.__('preparing');
    case 'queued':
      return trans.__('queued');
    case 'ready':
      return trans.__('ready');
    case 'running':
      return trans.__('running');
    case 'starting':
      return trans.__('starting');
    case 'stopped':
      return trans.__('stopped');
    case 'stopping':
      return trans.__('stopping');
    case 'succeeded':
      return trans.__('succeeded');
    case 'unhealthy':
      return trans.__('unhealthy');
    case 'unmounting':
      return trans.__('unmounting');
    default:
      return state;
  }
}

/**
 * Whether a task will change no more.
 */
export function isFinal(state: string): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'stopped';
}

/**
 * The one line of facts of a task's row.
 */
export function taskFacts(
  trans: TranslationBundle,
  task: Pick<
    TaskView,
    'state' | 'progress' | 'seconds_left' | 'queue' | 'reason' | 'headline'
  >
): string {
  const { state, progress, seconds_left, queue, reason, headline } = task;
  switch (state) {
    case 'running': {
      if (progress === null || progress === undefined) {
        return trans.__('running');
      }
      return seconds_left === null || seconds_left === undefined
        ? percent(progress)
        : trans.__(
            '%1 · %2 left',
            percent(progress),
            remaining(trans, seconds_left)
          );
    }
    case 'queued':
      return said(trans, queue?.waiting_for) || trans.__('queued');
    case 'succeeded':
      return headline ? trans.__('done · %1', headline) : trans.__('done');
    case 'failed':
      return reasonWords(trans, reason);
    default:
      return stateWords(trans, state);
  }
}
