import type { ServerConnection } from '@jupyterlab/services';

import { requestJSON } from '../request';
import type { Body } from './common';
import { ResourceApi } from './common';
import type {
  CatalogView,
  ImageCreate,
  ImageDetail,
  ImageUpdate,
  ImageView
} from './types';

/**
 * The routes of the image catalog.
 */
export class ImagesApi extends ResourceApi<
  ImageView,
  ImageDetail,
  ImageUpdate
> {
  constructor(settings: ServerConnection.ISettings) {
    super(settings, 'images');
  }

  /**
   * How the administrator's file stands.
   */
  catalog(): Promise<CatalogView> {
    return requestJSON(this.settings, 'api/catalog');
  }

  /**
   * Add an image that is there already; it is looked at in the background.
   */
  create(body: Body<ImageCreate, 'name' | 'reference'>): Promise<ImageDetail> {
    return requestJSON(this.settings, 'api/images', {
      method: 'POST',
      json: body
    });
  }

  /**
   * Have an image looked at again, in the background.
   */
  look(ref: number): Promise<ImageDetail> {
    return requestJSON(this.settings, this.path(ref, '/look'), {
      method: 'POST'
    });
  }
}
