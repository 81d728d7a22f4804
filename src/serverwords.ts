import type { TranslationBundle } from '@jupyterlab/translation';

import type { Event as PlatformEvent } from './api/types';
import { said } from './said';

/**
 * An event of a notebook server's history in words. Where its sentence tells a reason, it stays as
 * it came.
 */
export function serverEventWords(
  trans: TranslationBundle,
  event: Pick<PlatformEvent, 'data' | 'message'>
): string {
  const facts = event.data ?? {};
  const fact = (name: string): string => String(facts[name] ?? '…');
  switch (facts.event) {
    case 'CreateNotebook':
      return trans.__('The server is being prepared.');
    case 'UpdateImage':
      return trans.__(
        'The image is %1 now; it was %2.',
        fact('image'),
        fact('before')
      );
    case 'UpdateFlavor':
      return trans.__(
        'The limits are %1 now; they were %2.',
        fact('limits'),
        fact('before')
      );
    case 'Scheduled':
      return trans.__('There is room; the server is starting.');
    case 'PullingImage':
      return trans.__('The image is being pulled.');
    case 'PulledImage':
      return trans.__('The image is there.');
    case 'NotebookHealthy':
      return trans.__('The server is ready.');
    case 'StoppingNotebook':
      return trans.__('The server is stopping.');
    case 'StopNotebook':
      return trans.__('The server has stopped.');
    case 'KeepNotebookRunning':
      return trans.__('Somebody asked that it keep running.');
    case 'DynamicMountStorage':
      return trans.__(
        'The dataset %1 is mounted at %2.',
        fact('dataset'),
        fact('path')
      );
    case 'DynamicUnmountStorage':
      return trans.__('The dataset %1 is no longer mounted.', fact('dataset'));
    case 'OutOfMemory':
      // Of the server itself it is its end, which has a reason of its own.
      return facts.kills === undefined
        ? said(trans, event.message)
        : trans.__(
            'A kernel or program of the server was ended: its %1 MiB of memory were used up. The server itself runs on.',
            fact('limit')
          );
    default:
      return said(trans, event.message);
  }
}

/**
 * The level of an event in words.
 */
export function levelWords(trans: TranslationBundle, level: string): string {
  switch (level) {
    case 'error':
      return trans.__('error');
    case 'warning':
      return trans.__('warning');
    default:
      return trans.__('normal');
  }
}
