import type { ServerConnection } from '@jupyterlab/services';

import { address } from '../request';
import { ResourceApi } from './common';
import type { ModelDetail, ModelUpdate, ModelView } from './types';

/**
 * The routes of models.
 */
export class ModelsApi extends ResourceApi<
  ModelView,
  ModelDetail,
  ModelUpdate
> {
  constructor(settings: ServerConnection.ISettings) {
    super(settings, 'models');
  }

  /**
   * The address of a version as a tar.
   */
  downloadUrl(ref: number, version: number): string {
    return address(
      this.settings,
      this.path(ref, `/versions/${version}/download`)
    );
  }
}
