import type { ServerConnection } from '@jupyterlab/services';

import { request, requestJSON } from '../request';
import type { Body, IPage } from './common';
import { ResourceApi } from './common';
import type {
  Event,
  LogPage,
  RevisionCreate,
  RevisionView,
  ServiceCreate,
  ServiceDetail,
  ServiceUpdate,
  ServiceView
} from './types';

/**
 * The routes of services.
 */
export class ServicesApi extends ResourceApi<
  ServiceView,
  ServiceDetail,
  ServiceUpdate
> {
  constructor(settings: ServerConnection.ISettings) {
    super(settings, 'services');
  }

  /**
   * Deploy a model with a published algorithm.
   */
  create(body: Body<ServiceCreate, 'name'>): Promise<ServiceDetail> {
    return requestJSON(this.settings, 'api/services', {
      method: 'POST',
      json: body
    });
  }

  /**
   * Start another revision beside the current one; what is left out is as that one has it.
   */
  revise(ref: number, body: Body<RevisionCreate>): Promise<ServiceDetail> {
    return this.change(ref, '/revisions', 'POST', body);
  }

  /**
   * Let the candidate have so many percent of the calls.
   */
  setTraffic(ref: number, weight: number): Promise<ServiceDetail> {
    return this.change(ref, '/traffic', 'PUT', { weight });
  }

  /**
   * Make the candidate the current revision.
   */
  promote(ref: number): Promise<ServiceDetail> {
    return this.change(ref, '/promote', 'POST');
  }

  /**
   * Start the previous revision; it becomes the current one when it is ready.
   */
  rollBack(ref: number): Promise<ServiceDetail> {
    return this.change(ref, '/rollback', 'POST');
  }

  /**
   * End the candidate, or forget the previous revision.
   */
  async dropRevision(
    ref: number,
    role: RevisionView['role']
  ): Promise<ServiceDetail> {
    await requestJSON(this.settings, this.path(ref, `/revisions/${role}`), {
      method: 'DELETE'
    });
    return this.get(ref);
  }

  /**
   * A part of one replica's log, by byte offset.
   */
  log(
    ref: number,
    replica: number,
    offset: number,
    revision: 'current' | 'candidate' = 'current'
  ): Promise<LogPage> {
    return requestJSON(this.settings, this.path(ref, '/log'), {
      query: { replica, offset, revision }
    });
  }

  /**
   * What happened to the service, newest first.
   */
  events(ref: number): Promise<IPage<Event>> {
    return requestJSON(this.settings, this.path(ref, '/events'), {
      query: { limit: 200 }
    });
  }

  /**
   * Call a running service; the Jupyter server adds the caller's token.
   *
   * @param path The path below the service's address, with its query.
   */
  call(
    ref: number,
    path: string,
    call: { method: string; body?: BodyInit; headers?: Record<string, string> }
  ): Promise<Response> {
    return request(
      this.settings,
      `local/services/${encodeURIComponent(ref)}/call`,
      { ...call, query: { path }, isForeign: true }
    );
  }

  private change(
    ref: number,
    below: string,
    method: string,
    json?: unknown
  ): Promise<ServiceDetail> {
    return requestJSON(this.settings, this.path(ref, below), { method, json });
  }
}
