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
import { said } from './said';

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
 * Why something ended badly, as two or three words for a row; the whole sentence is
 * on its page.
 */
export function reasonWords(
  trans: TranslationBundle,
  reason: string | null | undefined
): string {
  switch (reason) {
    case null:
    case undefined:
    case '':
      return trans.__('failed');
    case 'address_in_use':
      return trans.__('port taken');
    case 'bad_parameter':
      return trans.__('bad parameter');
    case 'build_failed':
    case 'build_line':
      return trans.__('build failed');
    case 'command_not_found':
      return trans.__('command not found');
    case 'compiler_missing':
      return trans.__('compiling failed');
    case 'connection_refused':
      return trans.__('connection refused');
    case 'cuda_out_of_memory':
      return trans.__('out of GPU memory');
    case 'cuda_unavailable':
      return trans.__('no usable GPU');
    case 'disk_full':
    case 'no_space':
      return trans.__('disk full');
    case 'environment_missing':
      return trans.__('environment missing');
    case 'exit_code':
      return trans.__('ended with an error');
    case 'file_not_found':
    case 'script_not_found':
      return trans.__('file not found');
    case 'import_error':
    case 'module_not_found':
      return trans.__('module missing');
    case 'input_missing':
      return trans.__('input missing');
    case 'killed':
      return trans.__('killed');
    case 'lost':
      return trans.__('process vanished');
    case 'memory_error':
    case 'out_of_memory':
      return trans.__('out of memory');
    case 'mount_failed':
      return trans.__('could not be mounted');
    case 'name_resolution':
      return trans.__('unknown host');
    case 'never_fits':
      return trans.__('more than the machine has');
    case 'never_listened':
      return trans.__('never listened');
    case 'permission_denied':
      return trans.__('permission denied');
    case 'pip_conflict':
      return trans.__('packages conflict');
    case 'pip_no_match':
      return trans.__('package not found');
    case 'platform_down':
      return trans.__('platform went down');
    case 'python_exception':
      return trans.__('error in the code');
    case 'read_only':
      return trans.__('wrote to a read-only place');
    case 'signal':
      return trans.__('ended by a signal');
    case 'start_failed':
      return trans.__('could not be started');
    case 'stopped':
      return trans.__('stopped');
    case 'stopped_itself':
      return trans.__('stopped itself');
    case 'syntax_error':
      return trans.__('syntax error');
    case 'time_limit':
      return trans.__('time limit reached');
    case 'upload_gone':
      return trans.__('upload is gone');
    case 'wrong_port':
      return trans.__('wrong port');
    default:
      return trans.__('failed: %1', reason.replace(/_/g, ' '));
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
