import type { ServerConnection } from '@jupyterlab/services';

import { requestJSON } from '../request';
import type { IPage } from './common';
import type {
  CapacityView,
  Me,
  MountCreate,
  MountView,
  ServerView,
  VersionView
} from './types';

/**
 * The routes of what a working place is made of: capacity, images, servers, mounts.
 */
export class ServersApi {
  constructor(settings: ServerConnection.ISettings) {
    this._settings = settings;
  }

  /**
   * Who the caller is.
   */
  async me(): Promise<Me> {
    // It stays so for as long as the page is open, and many ask.
    this._me ??= requestJSON<Me>(this._settings, 'api/me');
    try {
      return await this._me;
    } catch (error) {
      this._me = null;
      throw error;
    }
  }

  /**
   * What answers: its version, and which engine it starts things on.
   */
  version(): Promise<VersionView> {
    return requestJSON(this._settings, 'api/version');
  }

  /**
   * What is free and what is promised.
   */
  capacity(): Promise<CapacityView> {
    return requestJSON(this._settings, 'api/capacity');
  }

  /**
   * The caller's notebook servers.
   */
  servers(): Promise<IPage<ServerView>> {
    return requestJSON(this._settings, 'api/servers');
  }

  /**
   * Show a dataset in a server's file tree, read-only.
   */
  mount(
    server: number,
    body: Pick<MountCreate, 'dataset'> & Partial<MountCreate>
  ): Promise<MountView> {
    return requestJSON(this._settings, `api/servers/${server}/mounts`, {
      method: 'POST',
      json: body
    });
  }

  /**
   * Take a dataset out of a server's file tree.
   */
  unmount(server: number, mount: number): Promise<void> {
    return requestJSON(
      this._settings,
      `api/servers/${server}/mounts/${mount}`,
      { method: 'DELETE' }
    );
  }

  private _me: Promise<Me> | null = null;
  private readonly _settings: ServerConnection.ISettings;
}
