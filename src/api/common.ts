import type { ServerConnection } from '@jupyterlab/services';

import { requestJSON } from '../request';

/**
 * A bounded part of a list, newest first.
 */
export interface IPage<T> {
  items: T[];
  next: string | null;
}

/**
 * What lists can be narrowed by.
 */
export interface IListQuery {
  limit?: number;
  cursor?: string | null;
  search?: string;
  name?: string;
}

/**
 * A body of a create or update request: what has a default may be left out.
 */
export type Body<T, Required extends keyof T = never> = Partial<T> &
  Pick<T, Required>;

/**
 * The routes that all resources share.
 */
export class ResourceApi<View, Detail extends View, Update> {
  constructor(settings: ServerConnection.ISettings, resource: string) {
    this.settings = settings;
    this.resource = resource;
  }

  /**
   * The plural noun of the routes, e.g. `tasks`.
   */
  readonly resource: string;

  /**
   * A page of the list.
   */
  list(query: IListQuery = {}): Promise<IPage<View>> {
    return requestJSON(this.settings, `api/${this.resource}`, {
      query: { ...query }
    });
  }

  /**
   * Everything about one, by id or name.
   */
  get(ref: number | string): Promise<Detail> {
    return requestJSON(this.settings, this.path(ref));
  }

  /**
   * Change what is said about one.
   */
  update(ref: number | string, body: Body<Update>): Promise<Detail> {
    return requestJSON(this.settings, this.path(ref), {
      method: 'PATCH',
      json: body
    });
  }

  /**
   * Delete one.
   */
  delete(ref: number | string): Promise<void> {
    return requestJSON(this.settings, this.path(ref), { method: 'DELETE' });
  }

  /**
   * The path of one, and of what lies below it.
   */
  protected path(ref: number | string, below = ''): string {
    return `api/${this.resource}/${encodeURIComponent(ref)}${below}`;
  }

  protected readonly settings: ServerConnection.ISettings;
}
