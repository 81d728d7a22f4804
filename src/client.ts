import type { ServerConnection } from '@jupyterlab/services';

import { AlgorithmsApi } from './api/algorithms';
import { BuildsApi } from './api/builds';
import { DatasetsApi } from './api/datasets';
import { ImagesApi } from './api/images';
import { LocalApi } from './api/local';
import { ModelsApi } from './api/models';
import { ServersApi } from './api/servers';
import { ServicesApi } from './api/services';
import { TasksApi } from './api/tasks';
import { CatalogModel } from './models/catalog';
import { ResourceList } from './models/list';
import { PlaceModel } from './models/place';
import { EventStream } from './stream/stream';
import type { IPlatformClient, IResourceLists } from './tokens';

/**
 * The platform as this page knows it.
 */
export class PlatformClient implements IPlatformClient {
  constructor(options: PlatformClient.IOptions) {
    const settings = options.serverSettings;
    this.algorithms = new AlgorithmsApi(settings);
    this.builds = new BuildsApi(settings);
    this.datasets = new DatasetsApi(settings);
    this.images = new ImagesApi(settings);
    this.local = new LocalApi(settings);
    this.models = new ModelsApi(settings);
    this.servers = new ServersApi(settings);
    this.services = new ServicesApi(settings);
    this.tasks = new TasksApi(settings);
    this.stream = new EventStream({ serverSettings: settings });
    this.lists = this._lists();
    this.catalog = new CatalogModel({ api: this.images });
    this.place = new PlaceModel({
      api: this.servers,
      stream: this.stream,
      serverName: options.serverName,
      noServer: options.noServer
    });
  }

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

  private _lists(): IResourceLists {
    const { algorithms, builds, datasets, images } = this;
    const { models, services, stream, tasks } = this;
    return {
      algorithms: new ResourceList({
        resource: 'algorithms',
        stream,
        list: query => algorithms.list(query),
        get: id => algorithms.get(id)
      }),
      builds: new ResourceList({
        resource: 'builds',
        stream,
        list: query => builds.list(query),
        get: id => builds.get(id)
      }),
      datasets: new ResourceList({
        resource: 'datasets',
        stream,
        list: query => datasets.list(query),
        get: id => datasets.get(id)
      }),
      images: new ResourceList({
        resource: 'images',
        stream,
        list: query => images.list(query),
        get: id => images.get(id)
      }),
      models: new ResourceList({
        resource: 'models',
        stream,
        list: query => models.list(query),
        get: id => models.get(id)
      }),
      services: new ResourceList({
        resource: 'services',
        stream,
        list: query => services.list(query),
        get: id => services.get(id)
      }),
      tasks: new ResourceList({
        resource: 'tasks',
        stream,
        list: query => tasks.list(query),
        get: id => tasks.get(id)
      })
    };
  }
}

/**
 * The namespace of `PlatformClient` statics.
 */
export namespace PlatformClient {
  export interface IOptions {
    serverSettings: ServerConnection.ISettings;

    /**
     * The name of this page's server at the hub; empty for the default one.
     */
    serverName: string;

    /**
     * What to say where the platform knows no server of this page.
     */
    noServer: string;
  }
}
