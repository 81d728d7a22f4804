import type { TranslationBundle } from '@jupyterlab/translation';

import type { ImageView } from '../../api/types';

/**
 * What stands in place of an icon: the sign it was given, else its framework's first letter.
 */
export function imageLetter(
  image: Pick<ImageView, 'framework' | 'icon' | 'name'>
): string {
  if (image.icon) {
    return image.icon;
  }
  const [first = ''] = image.framework || image.name;
  return first.toUpperCase();
}

/**
 * The version of a distribution that was found; names are compared as packaging does.
 */
function versionOf(
  versions: ImageView['versions'],
  name: string
): string | undefined {
  return versions[name.replace(/[-_.]+/g, '-').toLowerCase()];
}

/**
 * What an image is of: the framework with its version, and Python with its.
 */
export function contentWords(
  image: Pick<ImageView, 'framework' | 'versions'>
): string[] {
  const { framework, versions } = image;
  const found = [framework, 'Python'].map(name =>
    [name, versionOf(versions, name)].filter(Boolean).join(' ')
  );
  return [...new Set(framework === 'Python' ? found.slice(1) : found)];
}

/**
 * What an image is made for.
 */
export function acceleratorWords(
  trans: TranslationBundle,
  accelerator: string
): string {
  return accelerator === 'gpu' ? trans.__('GPU') : trans.__('CPU');
}

/**
 * The one line of facts of an image that can be used.
 */
export function imageFacts(
  trans: TranslationBundle,
  image: Pick<ImageView, 'accelerator' | 'framework' | 'versions'>
): string {
  return [
    acceleratorWords(trans, image.accelerator),
    ...contentWords(image)
  ].join(' · ');
}
