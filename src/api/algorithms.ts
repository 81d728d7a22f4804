import type { ServerConnection } from '@jupyterlab/services';

import { request, requestJSON } from '../request';
import { ResourceApi } from './common';
import type {
  AlgorithmDetail,
  AlgorithmUpdate,
  AlgorithmView,
  LogPage
} from './types';

/**
 * The routes of algorithms.
 */
export class AlgorithmsApi extends ResourceApi<
  AlgorithmView,
  AlgorithmDetail,
  AlgorithmUpdate
> {
  constructor(settings: ServerConnection.ISettings) {
    super(settings, 'algorithms');
  }

  /**
   * A part of the log of a version's build, by byte offset.
   */
  log(ref: number, version: number, offset: number): Promise<LogPage> {
    return requestJSON(
      this.settings,
      this.path(ref, `/versions/${version}/log`),
      { query: { offset } }
    );
  }

  /**
   * The text of one file of a version's code.
   */
  async file(ref: number, version: number, path: string): Promise<string> {
    const name = path.split('/').map(encodeURIComponent).join('/');
    const answer = await request(
      this.settings,
      this.path(ref, `/versions/${version}/files/${name}`)
    );
    return answer.text();
  }
}
