import { Token } from '@lumino/coreutils';

import type { AlgorithmsApi } from './api/algorithms';
import type { BuildsApi } from './api/builds';
import type { DatasetsApi } from './api/datasets';
import type { ImagesApi } from './api/images';
import type { LocalApi } from './api/local';
import type { ModelsApi } from './api/models';
import type { ServersApi } from './api/servers';
import type { ServicesApi } from './api/services';
import type { TasksApi } from './api/tasks';
import type {
  AlgorithmView,
  BuildView,
  DatasetView,
  ImageView,
  ModelView,
  ServiceView,
  TaskView
} from './api/types';
import type { CatalogModel } from './models/catalog';
import type { ResourceList } from './models/list';
import type { PlaceModel } from './models/place';
import type { EventStream } from './stream/stream';

/**
 * The platform as this page knows it: its routes, its one event stream, and the lists
 * that all views share.
 */
export interface IPlatformClient {
  readonly algorithms: AlgorithmsApi;
  readonly builds: BuildsApi;
  readonly datasets: DatasetsApi;
  readonly images: ImagesApi;
  readonly local: LocalApi;
  readonly models: ModelsApi;
  readonly servers: ServersApi;
  readonly services: ServicesApi;
  readonly tasks: TasksApi;
  readonly stream: EventStream;
  readonly lists: IResourceLists;
  readonly place: PlaceModel;
  readonly catalog: CatalogModel;
}

/**
 * The lists that views share.
 */
export interface IResourceLists {
  readonly algorithms: ResourceList<AlgorithmView>;
  readonly builds: ResourceList<BuildView>;
  readonly datasets: ResourceList<DatasetView>;
  readonly images: ResourceList<ImageView>;
  readonly models: ResourceList<ModelView>;
  readonly services: ResourceList<ServiceView>;
  readonly tasks: ResourceList<TaskView>;
}

/**
 * The plural nouns of what has a page of its own in the main area.
 */
export type ResourceKind =
  | 'algorithms'
  | 'builds'
  | 'datasets'
  | 'images'
  | 'models'
  | 'services'
  | 'tasks';

/**
 * The forms of the main area.
 */
export type FormKind =
  | 'algorithm'
  | 'build'
  | 'dataset'
  | 'environment'
  | 'image'
  | 'model'
  | 'service'
  | 'task';

/**
 * What a form is opened with; everything is optional and can be changed in the form.
 */
export interface IFormStart {
  /**
   * A folder or file of the home.
   */
  path?: string;

  /**
   * Name of an algorithm, optionally with `:VERSION`.
   */
  algorithm?: string;

  /**
   * Name of a model, optionally with `:VERSION`.
   */
  model?: string;

  /**
   * Name of a dataset, optionally with `:VERSION`.
   */
  dataset?: string;

  /**
   * Id of a task to begin with the same values as.
   */
  task?: number;
}

/**
 * Opens things in the main area.
 */
export interface IWorkbench {
  /**
   * Show one resource; what is open already is brought to the front.
   */
  openDetail(kind: ResourceKind, id: number, tab?: string): void;

  /**
   * Show a form.
   */
  openForm(form: FormKind, start?: IFormStart): void;
}

/**
 * The token of the platform client.
 */
export const IPlatformClient = new Token<IPlatformClient>(
  'kpl-lab:IPlatformClient',
  'The KPL Lab platform: requests, the event stream and the shared lists.'
);

/**
 * The token of the workbench.
 */
export const IWorkbench = new Token<IWorkbench>(
  'kpl-lab:IWorkbench',
  'Opens pages and forms of KPL Lab in the main area.'
);
