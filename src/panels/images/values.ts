import type { TranslationBundle } from '@jupyterlab/translation';

import type { ImageDetail, ImageUpdate, Resources } from '../../api/types';
import { pairsOf, pairsProblem } from '../../pairs';

/**
 * What a server gets, or may get at most; a field that is empty is null.
 */
export type Amounts = Record<keyof Resources, number | null>;

/**
 * The kinds of amounts, in the order in which they are shown.
 */
export const KINDS = ['cpu', 'memory', 'gpu', 'shm'] as const;

/**
 * What may be said about an image, as it stands in the fields.
 */
export interface IImageValues {
  title: string;
  description: string;
  documentation: string;
  framework: string;
  accelerator: 'cpu' | 'gpu';
  icon: string;
  visibility: ImageDetail['visibility'];

  /**
   * Words with commas or spaces between them.
   */
  aliases: string;
  groups: string;

  /**
   * One KEY=VALUE a line.
   */
  variables: string;
  defaults: Amounts;
  maximum: Amounts;
}

/**
 * What is sent: those of the platform's fields that a form knows.
 */
export type ImageFields = Omit<ImageUpdate, 'online' | 'credentials'>;

const NOTHING: Amounts = { cpu: null, memory: null, gpu: null, shm: null };

/**
 * The fields of a new image.
 */
export const NO_VALUES: IImageValues = {
  title: '',
  description: '',
  documentation: '',
  framework: 'Python',
  accelerator: 'cpu',
  icon: '',
  visibility: 'private',
  aliases: '',
  groups: '',
  variables: '',
  defaults: { cpu: 1, memory: 1024, gpu: 0, shm: 64 },
  maximum: NOTHING
};

/**
 * The fields of an image that is there.
 */
export function valuesOf(image: ImageDetail): IImageValues {
  return {
    title: image.title,
    description: image.description,
    documentation: image.documentation ?? '',
    framework: image.framework,
    accelerator: image.accelerator,
    icon: image.icon ?? '',
    visibility: image.visibility,
    aliases: image.aliases.join(', '),
    groups: image.groups.join(', '),
    variables: Object.entries(image.variables)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n'),
    defaults: { ...image.default_resources },
    maximum: image.max_resources ? { ...image.max_resources } : NOTHING
  };
}

/**
 * All that the fields say.
 */
export function fieldsOf(values: IImageValues): ImageFields {
  const { defaults, maximum } = values;
  return {
    title: values.title.trim() || null,
    description: values.description.trim(),
    documentation: values.documentation.trim(),
    framework: values.framework.trim() || null,
    accelerator: values.accelerator,
    icon: values.icon.trim(),
    visibility: values.visibility,
    aliases: wordsOf(values.aliases),
    groups: wordsOf(values.groups),
    variables: pairsOf(values.variables),
    default_resources: isWhole(defaults) ? defaults : null,
    max_resources: isWhole(maximum) ? maximum : null
  };
}

/**
 * What the fields say otherwise than before.
 */
export function changedFields(
  values: IImageValues,
  before: IImageValues
): ImageFields {
  const old = fieldsOf(before) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(fieldsOf(values)).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name])
    )
  );
}

/**
 * What is wrong with a field, by its name.
 */
export function problemsOf(
  trans: TranslationBundle,
  values: IImageValues
): Partial<Record<keyof IImageValues, string>> {
  const { defaults, documentation, maximum } = values;
  const variables = pairsProblem(trans, values.variables);
  const above = KINDS.some(
    kind => isWhole(maximum) && (defaults[kind] ?? 0) > (maximum[kind] ?? 0)
  );
  const isSome = KINDS.some(kind => maximum[kind] !== null);
  return {
    ...(documentation.trim() &&
      !/^https?:\/\/\S+$/.test(documentation.trim()) && {
        documentation: trans.__('An address of the web, with https://.')
      }),
    ...(variables && { variables }),
    ...(!isWhole(defaults) && {
      defaults: trans.__('Give all four.')
    }),
    ...(isSome && !isWhole(maximum)
      ? { maximum: trans.__('Give all four, or leave all empty.') }
      : above && { maximum: trans.__('This is less than the default.') })
  };
}

/**
 * The options of `kpl image register` and `kpl image set` that say the same.
 */
export function optionsOf(fields: ImageFields): string[] {
  const words: string[] = [];
  const one = (option: string, value: string | null | undefined): void => {
    if (value) {
      words.push(option, value);
    }
  };
  const amounts = (
    option: string,
    values: Resources | null | undefined
  ): void => {
    if (values) {
      KINDS.forEach(kind => words.push(option, `${kind}=${values[kind]}`));
    }
  };
  one('--title', fields.title);
  one('--description', fields.description);
  one('--documentation', fields.documentation);
  one('--framework', fields.framework);
  one('--accelerator', fields.accelerator);
  one('--icon', fields.icon);
  one('--visibility', fields.visibility);
  fields.groups?.forEach(group => one('--group', group));
  fields.aliases?.forEach(alias => one('--alias', alias));
  Object.entries(fields.variables ?? {}).forEach(([name, value]) =>
    one('--env', `${name}=${value}`)
  );
  amounts('--default', fields.default_resources);
  amounts('--max', fields.max_resources);
  return words;
}

/**
 * The words of a field that takes several.
 */
function wordsOf(text: string): string[] {
  return text.split(/[\s,，、]+/).filter(Boolean);
}

function isWhole(amounts: Amounts): amounts is Resources {
  return KINDS.every(kind => Number.isFinite(amounts[kind]));
}
