import type { ServerConnection } from '@jupyterlab/services';

import { requestJSON } from '../request';
import { ResourceApi } from './common';
import type { BuildView, LogPage } from './types';

/**
 * The routes of builds: the making of environments and images.
 */
export class BuildsApi extends ResourceApi<BuildView, BuildView, never> {
  constructor(settings: ServerConnection.ISettings) {
    super(settings, 'builds');
  }

  /**
   * Ask the making of an image to end.
   */
  stop(ref: number): Promise<BuildView> {
    return requestJSON(this.settings, this.path(ref, '/stop'), {
      method: 'POST'
    });
  }

  /**
   * A part of the log, by byte offset.
   */
  log(ref: number, offset: number): Promise<LogPage> {
    return requestJSON(this.settings, this.path(ref, '/log'), {
      query: { offset }
    });
  }
}
