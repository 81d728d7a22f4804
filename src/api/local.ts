import type { ServerConnection } from '@jupyterlab/services';

import { requestJSON } from '../request';
import type { Body } from './common';
import type {
  AlgorithmCreate,
  AlgorithmDetail,
  DatasetCreate,
  DatasetDetail,
  FormDescription,
  ModelCreate,
  ModelDetail,
  ServiceCreate,
  ServiceDetail,
  TaskCreate,
  TaskDetail
} from './types';

/**
 * A create request whose bytes the Jupyter server packs from a path of the home folder.
 */
type FromPath<T, Required extends keyof T = never> = { path: string } & Body<
  Omit<T, 'upload'>,
  Exclude<Required, 'upload'>
>;

/**
 * What this notebook server uses; memory in MiB.
 */
export interface IServerUsage {
  cpu: number;
  cpu_limit: number | null;
  memory: number;
  memory_limit: number | null;
  disk_free: number;
  processes: number;
}

/**
 * What the Jupyter server does itself, as the user: read the home folder, measure itself.
 */
export class LocalApi {
  constructor(settings: ServerConnection.ISettings) {
    this._settings = settings;
  }

  /**
   * The form of a code folder, from its two YAML files.
   */
  folder(path: string): Promise<FormDescription> {
    return requestJSON(this._settings, 'local/folder', { query: { path } });
  }

  /**
   * What this notebook server uses now.
   */
  usage(): Promise<IServerUsage> {
    return requestJSON(this._settings, 'local/usage');
  }

  /**
   * Submit a code folder as a task.
   */
  createTask(body: FromPath<TaskCreate>): Promise<TaskDetail> {
    return this._create('tasks', body);
  }

  /**
   * Publish a code folder as an algorithm.
   */
  createAlgorithm(
    body: FromPath<AlgorithmCreate, 'name'>
  ): Promise<AlgorithmDetail> {
    return this._create('algorithms', body);
  }

  /**
   * Make a dataset of a folder or file.
   */
  createDataset(body: FromPath<DatasetCreate, 'name'>): Promise<DatasetDetail> {
    return this._create('datasets', body);
  }

  /**
   * Make a model of a folder or file.
   */
  createModel(body: FromPath<ModelCreate, 'name'>): Promise<ModelDetail> {
    return this._create('models', body);
  }

  /**
   * Deploy a code folder as a service.
   */
  createService(body: FromPath<ServiceCreate, 'name'>): Promise<ServiceDetail> {
    return this._create('services', body);
  }

  private _create<T>(resource: string, json: unknown): Promise<T> {
    return requestJSON(this._settings, `local/${resource}`, {
      method: 'POST',
      json
    });
  }

  private readonly _settings: ServerConnection.ISettings;
}
