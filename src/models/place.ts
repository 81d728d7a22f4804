import { VDomModel } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';
import { DisposableDelegate } from '@lumino/disposable';

import type { ServersApi } from '../api/servers';
import type {
  CapacityView,
  Event as PlatformEvent,
  MountView,
  ServerView
} from '../api/types';
import { PlatformError } from '../request';
import type { EventStream } from '../stream/stream';

/**
 * What changes the ledger of capacity.
 */
const LEDGER = new Set(['tasks', 'services', 'servers', 'builds']);

/**
 * The working place: capacity, the server this page belongs to, and its mounts.
 */
export class PlaceModel extends VDomModel {
  constructor(options: PlaceModel.IOptions) {
    super();
    this._options = options;
    options.stream.received.connect(this._onEvent, this);
    options.stream.resync.connect(this._onResync, this);
  }

  /**
   * What is free and what is promised; null before the first answer.
   */
  get capacity(): CapacityView | null {
    return this._capacity;
  }

  /**
   * The notebook server of this page; null where the platform knows none.
   */
  get server(): ServerView | null {
    return this._server;
  }

  /**
   * The datasets in the file tree.
   */
  get mounts(): ReadonlyArray<MountView> {
    return this._server?.mounts ?? [];
  }

  /**
   * Why the last reading failed.
   */
  get error(): PlatformError | null {
    return this._error;
  }

  /**
   * The mount of a dataset, if it has one.
   */
  mountOf(dataset: number): MountView | undefined {
    return this.mounts.find(mount => mount.dataset_id === dataset);
  }

  /**
   * Keep it true until the result is disposed of.
   */
  activate(): IDisposable {
    this._viewers++;
    if (this._viewers === 1) {
      this._options.stream.start();
      void this.refresh();
    }
    return new DisposableDelegate(() => {
      this._viewers--;
    });
  }

  /**
   * Read it anew.
   */
  async refresh(): Promise<void> {
    const api = this._options.api;
    try {
      const [capacity, servers] = await Promise.all([
        api.capacity(),
        api.servers()
      ]);
      if (this.isDisposed) {
        return;
      }
      this._capacity = capacity;
      this._server = this._find(servers.items);
      this._error = null;
    } catch (error) {
      this._error = PlatformError.from(error);
    }
    if (!this.isDisposed) {
      this.stateChanged.emit();
    }
  }

  /**
   * Show a dataset in this server's file tree.
   *
   * @throws PlatformError when the page belongs to no server of the platform.
   */
  async mount(dataset: string, version?: number): Promise<MountView> {
    const server = await this._ownServer();
    const mount = await this._options.api.mount(server, { dataset, version });
    await this.refresh();
    return mount;
  }

  /**
   * Take a dataset out of this server's file tree.
   */
  async unmount(mount: MountView): Promise<void> {
    await this._options.api.unmount(mount.server_id, mount.id);
    await this.refresh();
  }

  /**
   * End it.
   */
  override dispose(): void {
    window.clearTimeout(this._timer);
    super.dispose();
  }

  private async _ownServer(): Promise<number> {
    if (!this._server) {
      await this.refresh();
    }
    if (!this._server) {
      throw new PlatformError({
        code: 'no_server',
        message: this._options.noServer,
        status: 404
      });
    }
    return this._server.id;
  }

  private _find(servers: ReadonlyArray<ServerView>): ServerView | null {
    const live = servers.filter(
      server =>
        server.name === this._options.serverName &&
        server.state !== 'stopped' &&
        server.state !== 'failed'
    );
    return live[0] ?? null;
  }

  private _onResync(): void {
    if (this._viewers > 0) {
      void this.refresh();
    }
  }

  private _onEvent(_: EventStream, event: PlatformEvent): void {
    const concerns = LEDGER.has(event.resource) && event.kind !== 'progress';
    if (concerns && this._viewers > 0 && this._timer === 0) {
      this._timer = window.setTimeout(() => {
        this._timer = 0;
        void this.refresh();
      }, 200);
    }
  }

  private readonly _options: PlaceModel.IOptions;
  private _capacity: CapacityView | null = null;
  private _error: PlatformError | null = null;
  private _server: ServerView | null = null;
  private _timer = 0;
  private _viewers = 0;
}

/**
 * The namespace of `PlaceModel` statics.
 */
export namespace PlaceModel {
  export interface IOptions {
    api: ServersApi;
    stream: EventStream;

    /**
     * The name of this page's server at the hub; empty for the default one.
     */
    serverName: string;

    /**
     * What to say where the platform knows no such server.
     */
    noServer: string;
  }
}
