import type { Me } from '../api/types';
import { useKpl } from '../context';
import { useRemote } from '.';

/**
 * The right to decide about everybody's images.
 */
const CATALOG = 'custom:kpl:catalog';

/**
 * Who the user is; null before the first answer.
 */
export function useMe(): Me | null {
  const { client } = useKpl();
  return useRemote(() => client.servers.me(), 'me').value;
}

/**
 * Whether somebody decides about everybody's images.
 */
export function keepsCatalog(me: Me | null): boolean {
  return me !== null && (me.admin || me.scopes.includes(CATALOG));
}

/**
 * Whether somebody decides about an image.
 */
export function mayChangeImage(
  me: Me | null,
  image: { owner: string }
): boolean {
  return keepsCatalog(me) || me?.name === image.owner;
}
