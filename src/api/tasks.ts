import type { ServerConnection } from '@jupyterlab/services';

import { request, requestJSON } from '../request';
import type { Body, IPage } from './common';
import { ResourceApi } from './common';
import type {
  Event,
  LogPage,
  TaskCreate,
  TaskDetail,
  TaskMetrics,
  TaskUpdate,
  TaskView
} from './types';

/**
 * The routes of tasks.
 */
export class TasksApi extends ResourceApi<TaskView, TaskDetail, TaskUpdate> {
  constructor(settings: ServerConnection.ISettings) {
    super(settings, 'tasks');
  }

  /**
   * Submit a task of a published algorithm.
   */
  create(body: Body<TaskCreate>): Promise<TaskDetail> {
    return requestJSON(this.settings, 'api/tasks', {
      method: 'POST',
      json: body
    });
  }

  /**
   * Ask a task to stop.
   */
  stop(ref: number | string): Promise<TaskDetail> {
    return requestJSON(this.settings, this.path(ref, '/stop'), {
      method: 'POST'
    });
  }

  /**
   * A part of the log of one node, by byte offset.
   */
  log(
    ref: number,
    offset: number,
    { limit, node }: { limit?: number; node?: number } = {}
  ): Promise<LogPage> {
    return requestJSON(this.settings, this.path(ref, '/log'), {
      query: { offset, limit, node: node || undefined }
    });
  }

  /**
   * Progress, results and curves, down-sampled to `points` a series.
   */
  metrics(ref: number, points = 1000): Promise<TaskMetrics> {
    return requestJSON(this.settings, this.path(ref, '/metrics'), {
      query: { points }
    });
  }

  /**
   * What happened to the task, newest first.
   */
  events(ref: number): Promise<IPage<Event>> {
    return requestJSON(this.settings, this.path(ref, '/events'), {
      query: { limit: 200 }
    });
  }

  /**
   * The text of one file of the task's code.
   */
  async file(ref: number, path: string): Promise<string> {
    const answer = await request(
      this.settings,
      this.path(
        ref,
        `/files/${path.split('/').map(encodeURIComponent).join('/')}`
      )
    );
    return answer.text();
  }
}
