import type { ServerConnection } from '@jupyterlab/services';

import { requestJSON } from '../request';
import type { IPage } from './common';
import type { ServerStart } from './types';

/**
 * The starts of the user's server of a name, newest first, with what happened to each.
 */
export function readHistory(
  settings: ServerConnection.ISettings,
  name: string
): Promise<IPage<ServerStart>> {
  return requestJSON(settings, 'api/servers/history', { query: { name } });
}
