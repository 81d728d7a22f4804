import type { TranslationBundle } from '@jupyterlab/translation';

import type { PlatformError } from './request';

/**
 * What paths and references (`NAME:VERSION`) need for themselves.
 */
const FORBIDDEN = /[/\\:*?"<>|@#%\p{C}]/u;

/**
 * What is wrong with the name of a new resource; null where nothing is.
 *
 * The platform has the last word; this says at once what it would refuse.
 */
export function nameProblem(
  trans: TranslationBundle,
  name: string
): string | null {
  if (name.trim() === '') {
    return null;
  }
  if (/^\d+$/.test(name.trim())) {
    return trans.__('A name of digits alone would look like an id.');
  }
  const bad = [...name.trim()].find(char => FORBIDDEN.test(char));
  if (bad !== undefined) {
    return trans.__('A name cannot have “%1”.', bad);
  }
  if (/^[.-]/.test(name.trim())) {
    return trans.__('A name starts with a letter or digit.');
  }
  if (name.length > 128) {
    return trans.__('A name has at most 128 characters.');
  }
  return null;
}

/**
 * The last part of a path, as a first proposal for a name.
 */
export function nameOf(path: string): string {
  const last = path.replace(/\/+$/, '').split('/').pop() ?? '';
  return last.replace(/\.(tar\.gz|tgz|tar|zip)$/, '');
}

/**
 * A path as it was typed, as the file browser names it: below the home, without `~/`.
 */
export function homePath(typed: string): string {
  return typed
    .trim()
    .replace(/^~?\/+/, '')
    .replace(/\/+$/, '');
}

/**
 * What is wrong with a path of the home, where an error is about just that.
 */
export function pathProblem(
  trans: TranslationBundle,
  error: PlatformError | null,
  path: string
): string | null {
  switch (error?.code) {
    case 'no_file':
      return trans.__(
        'There is no “%1” in your home; it may have been moved, renamed or deleted. Choose where it is now.',
        path
      );
    case 'outside_root':
      return trans.__(
        '“%1” leads out of your home; copy what you need into it.',
        path
      );
    case 'invalid_path':
      return error.message;
    default:
      return null;
  }
}
