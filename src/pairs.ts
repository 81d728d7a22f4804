import type { TranslationBundle } from '@jupyterlab/translation';

/**
 * What an environment variable is called; build arguments may be called otherwise.
 */
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*=/;
const ARGUMENT = /^[^=\s]+=/;

/**
 * The lines of a text that say something; what stands at their ends may be meant.
 */
function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map(line => line.trimStart())
    .filter(Boolean);
}

/**
 * `KEY=VALUE` lines as a mapping; lines that are none are left out.
 */
export function pairsOf(text: string): Record<string, string> {
  const pairs = linesOf(text)
    .map(line => /^([^=]+)=(.*)$/.exec(line))
    .filter((match): match is RegExpExecArray => match !== null)
    .map(([, key, value]) => [key, value]);
  return Object.fromEntries(pairs) as Record<string, string>;
}

/**
 * What is wrong with lines of variables, or of arguments; null for nothing.
 */
export function pairsProblem(
  trans: TranslationBundle,
  text: string,
  what: 'variables' | 'arguments' = 'variables'
): string | null {
  const pattern = what === 'variables' ? VARIABLE : ARGUMENT;
  const bad = linesOf(text).find(line => !pattern.test(line));
  return bad === undefined ? null : trans.__('“%1” is not KEY=VALUE.', bad);
}
