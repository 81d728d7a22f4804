import type { TranslationBundle } from '@jupyterlab/translation';

import SENTENCES from './sentences.json';

/**
 * The context of the platform's sentences in the catalogues.
 */
const CONTEXT = 'platform';

/**
 * How long a sentence of the platform can be; what is longer is somebody else's.
 */
const LONGEST = 2000;

/**
 * What the platform said, in the user's language; as it came where no catalogue has it.
 *
 * The platform speaks English, with names and numbers filled in: its sentences are known by what
 * stands around the places of these. What fills a place may be a sentence itself.
 */
export function said(
  trans: TranslationBundle,
  text: string | null | undefined
): string {
  const isOurs = text && text.length <= LONGEST;
  return (isOurs && Private.translated(trans, text)) || text || '';
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  interface IPattern {
    english: string;
    pattern: RegExp;
  }

  /**
   * Sentences with places, those with most words around them first, and sentences without.
   */
  const patterns: IPattern[] = SENTENCES.filter(english =>
    english.includes('{')
  )
    .sort((one, other) => fixed(other) - fixed(one))
    .map(english => ({ english, pattern: patternOf(english) }));
  const plain = SENTENCES.filter(english => !english.includes('{'));

  export function translated(
    trans: TranslationBundle,
    text: string
  ): string | null {
    const whole = lookedUp(trans, text);
    if (whole !== null) {
      return whole;
    }
    // A cause and, after it, what to do about it.
    const action = plain.find(english => text.endsWith(`. ${english}`));
    if (action !== undefined) {
      const cause = text.slice(0, -action.length - 1);
      const words =
        translated(trans, cause) ?? translated(trans, cause.slice(0, -1));
      const last = lookedUp(trans, action);
      return words !== null && last !== null
        ? `${words.replace(/([^。.！？：])$/, '$1。')}${last}`
        : null;
    }
    return matched(trans, text);
  }

  function lookedUp(trans: TranslationBundle, text: string): string | null {
    // eslint-disable-next-line jupyter/no-dynamic-translation -- the texts are those of sentences.json, which tools/sentences.py gathers
    const words = trans._p(CONTEXT, text);
    return words === text ? null : words;
  }

  function matched(trans: TranslationBundle, text: string): string | null {
    for (const { english, pattern } of patterns) {
      const values = pattern.exec(text)?.groups;
      const words = values ? lookedUp(trans, english) : null;
      if (values && words !== null) {
        return words.replace(/\{(\w+)\}/g, (_, name: string) =>
          said(trans, values[name])
        );
      }
    }
    return null;
  }

  function fixed(english: string): number {
    return english.replace(/\{\w+\}/g, '').length;
  }

  function patternOf(english: string): RegExp {
    const literal = english.replace(/[.*+?^$()|[\]\\/]/g, '\\$&');
    const places = literal.replace(/\{(\w+)\}/g, '(?<$1>.+?)');
    return new RegExp(`^${places}$`, 's');
  }
}
