import type { ResourceKind } from './tokens';

/**
 * Singular and plural nouns.
 */
const KINDS: Record<string, ResourceKind> = {
  algorithm: 'algorithms',
  build: 'builds',
  dataset: 'datasets',
  image: 'images',
  model: 'models',
  service: 'services',
  task: 'tasks'
};

/**
 * The plural noun of a singular or plural one; null for what has no page.
 */
export function pluralKind(kind: string): ResourceKind | null {
  return KINDS[kind] ?? KINDS[kind.replace(/s$/, '')] ?? null;
}

/**
 * The singular noun, as links have it.
 */
export function singularKind(kind: ResourceKind): string {
  return kind.slice(0, -1);
}
