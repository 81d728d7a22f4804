import type { ServerConnection } from '@jupyterlab/services';

import { PlatformError, requestJSON } from '../request';
import type { Body } from './common';
import type {
  AlgorithmCreate,
  AlgorithmDetail,
  BuildCreate,
  BuildView,
  DatasetCreate,
  DatasetDetail,
  DockerfileSource,
  FormDescription,
  ModelCreate,
  ModelDetail,
  Problem,
  PushTarget,
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
 * One GPU of this server; memory in MiB. What the driver does not tell is null.
 */
export interface IGpuUsage {
  index: number;
  name: string;
  busy: number | null;
  memory: number | null;
  memory_limit: number | null;
}

/**
 * A kernel, or something that a kernel or terminal had started, that memory has cost.
 */
export interface IEnded {
  number: number;
  path: string | null;
  memory: number | null;
  at: string;
}

/**
 * What this notebook server uses; memory and disk in MiB, CPU in cores.
 */
export interface IServerUsage {
  cpu: number;
  cpu_limit: number | null;
  memory: number;
  memory_limit: number | null;
  gpus: IGpuUsage[];
  disk_used: number;
  disk_free: number;
  is_disk_full: boolean;

  /**
   * What lies in the home folder; null where that is not counted yet.
   */
  home: number | null;

  /**
   * Whether the server was started in a home without room.
   */
  is_cleaning_up: boolean;

  /**
   * The largest first.
   */
  kernels: { path: string; memory: number }[];
  ended: IEnded[];
  processes: number;
}

/**
 * A file or folder that takes room, relative to the folder of the server.
 */
export interface IThing {
  path: string;
  bytes: number;
}

/**
 * What fills the home folder, in bytes; the largest first.
 */
export interface IFilling {
  total: number;
  free: number;
  size: number;
  is_full: boolean;
  is_whole: boolean;
  folders: IThing[];
  files: IThing[];
}

/**
 * What follows a send, and may give it up.
 */
export interface IWatch {
  signal: AbortSignal;

  /**
   * Called with the bytes sent and the bytes in all; null while the folder is being packed.
   */
  onProgress: (sent: number, total: number | null) => void;
}

/**
 * How far a send is.
 */
interface IJob {
  id: number;
  state: 'sending' | 'done' | 'failed';
  sent: number;
  total: number | null;
  result: unknown;
  problem: Problem | null;
  status: number | null;
}

/**
 * What this notebook server has that its image does not.
 */
export interface IUnsaved {
  server: number;
  image: string;
  requirements: string[];
}

/**
 * A code folder as a form; `left_out` is what its .kplignore names, so that it is not sent.
 */
export type FolderForm = FormDescription & { left_out: string[] };

/**
 * How often a send is looked at, in milliseconds.
 */
const LOOK = 400;

/**
 * How many times in a row nobody may answer to that.
 */
const PATIENCE = 75;

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
  folder(path: string): Promise<FolderForm> {
    return requestJSON(this._settings, 'local/folder', { query: { path } });
  }

  /**
   * What this notebook server uses now.
   */
  usage(): Promise<IServerUsage> {
    return requestJSON(this._settings, 'local/usage');
  }

  /**
   * What was installed here beyond the image; refused where nothing was.
   */
  environment(): Promise<IUnsaved> {
    return requestJSON(this._settings, 'local/environment');
  }

  /**
   * What fills the home folder; counting takes seconds in a large one.
   */
  filling(): Promise<IFilling> {
    return requestJSON(this._settings, 'local/home');
  }

  /**
   * Delete a file or folder of the home for good.
   */
  remove(path: string): Promise<void> {
    return requestJSON(this._settings, 'local/home', {
      method: 'DELETE',
      query: { path }
    });
  }

  /**
   * Submit a code folder as a task.
   */
  createTask(body: FromPath<TaskCreate>, watch?: IWatch): Promise<TaskDetail> {
    return this._create('tasks', body, watch);
  }

  /**
   * Publish a code folder as an algorithm.
   */
  createAlgorithm(
    body: FromPath<AlgorithmCreate, 'name'>,
    watch?: IWatch
  ): Promise<AlgorithmDetail> {
    return this._create('algorithms', body, watch);
  }

  /**
   * Make a dataset of a folder or file.
   */
  createDataset(
    body: FromPath<DatasetCreate, 'name'>,
    watch?: IWatch
  ): Promise<DatasetDetail> {
    return this._create('datasets', body, watch);
  }

  /**
   * Make a model of a folder or file.
   */
  createModel(
    body: FromPath<ModelCreate, 'name'>,
    watch?: IWatch
  ): Promise<ModelDetail> {
    return this._create('models', body, watch);
  }

  /**
   * Deploy a code folder as a service.
   */
  createService(
    body: FromPath<ServiceCreate, 'name'>,
    watch?: IWatch
  ): Promise<ServiceDetail> {
    return this._create('services', body, watch);
  }

  /**
   * Make an image for the catalog of a folder or file; what is read from it is left out here.
   */
  createBuild(
    body: { path: string } & Body<
      Omit<
        BuildCreate,
        'archive' | 'dockerfile' | 'environment_yml' | 'push' | 'requirements'
      >,
      'name'
    > & {
        dockerfile?: Partial<DockerfileSource>;
        push?: Partial<PushTarget>;
      },
    watch?: IWatch
  ): Promise<BuildView> {
    return this._create('builds', body, watch);
  }

  private async _create<T>(
    resource: string,
    json: unknown,
    watch?: IWatch
  ): Promise<T> {
    watch?.onProgress(0, null);
    // Not cut off by the signal: a job that nobody knows of could not be given up.
    let job = await requestJSON<IJob>(this._settings, `local/${resource}`, {
      method: 'POST',
      json,
      headers: { Prefer: 'respond-async' }
    });
    let failures = 0;
    while (job.state === 'sending') {
      watch?.onProgress(job.sent, job.total);
      await Private.pause(LOOK, watch?.signal);
      try {
        job = await this._job(job.id, watch?.signal.aborted ? 'DELETE' : 'GET');
        failures = 0;
      } catch (error) {
        if (!PlatformError.from(error).isPassing || ++failures > PATIENCE) {
          throw error;
        }
      }
    }
    if (job.problem) {
      throw new PlatformError({
        ...job.problem,
        requestId: job.problem.request_id,
        status: job.status ?? 500
      });
    }
    return job.result as T;
  }

  private _job(id: number, method: string): Promise<IJob> {
    return requestJSON(this._settings, `local/jobs/${id}`, { method });
  }

  private readonly _settings: ServerConnection.ISettings;
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * Wait a moment; the first wish to give up ends the wait at once.
   */
  export function pause(
    milliseconds: number,
    signal?: AbortSignal
  ): Promise<void> {
    return new Promise(resolve => {
      const timer = window.setTimeout(resolve, milliseconds);
      signal?.addEventListener('abort', () => {
        window.clearTimeout(timer);
        resolve();
      });
    });
  }
}
