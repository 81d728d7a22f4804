import type { ServerConnection } from '@jupyterlab/services';

import { address, requestJSON } from '../request';
import { ResourceApi } from './common';
import type {
  DatasetDetail,
  DatasetUpdate,
  DatasetView,
  RecordPage
} from './types';

/**
 * Which records to read.
 */
export interface IRecordQuery {
  offset: number;
  limit: number;
  class_name?: string;
}

/**
 * The routes of datasets.
 */
export class DatasetsApi extends ResourceApi<
  DatasetView,
  DatasetDetail,
  DatasetUpdate
> {
  constructor(settings: ServerConnection.ISettings) {
    super(settings, 'datasets');
  }

  /**
   * A page of the records of a version.
   */
  records(
    ref: number,
    version: number,
    query: IRecordQuery
  ): Promise<RecordPage> {
    return requestJSON(
      this.settings,
      this.path(ref, `/versions/${version}/records`),
      { query: { ...query } }
    );
  }

  /**
   * The address of one field's bytes; pictures are at most `size` pixels wide.
   */
  fieldUrl(
    ref: number,
    version: number,
    index: number,
    field: string,
    size: number
  ): string {
    const name = encodeURIComponent(field);
    return address(
      this.settings,
      this.path(ref, `/versions/${version}/records/${index}/fields/${name}`),
      { size }
    );
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
