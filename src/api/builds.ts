import type { ServerConnection } from '@jupyterlab/services';

import { requestJSON } from '../request';
import type { Body } from './common';
import { ResourceApi } from './common';
import type { BuildCreate, BuildView, LogPage } from './types';

/**
 * The routes of builds: the making of environments and images.
 */
export class BuildsApi extends ResourceApi<BuildView, BuildView, never> {
  constructor(settings: ServerConnection.ISettings) {
    super(settings, 'builds');
  }

  /**
   * Order the making of an image of what the request itself holds.
   */
  create(body: Body<BuildCreate, 'name'>): Promise<BuildView> {
    return requestJSON(this.settings, 'api/builds', {
      method: 'POST',
      json: body
    });
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
