import type { ServerConnection } from '@jupyterlab/services';

import { requestJSON } from '../request';

/**
 * How far this server is from being stopped because nothing runs in it.
 */
export interface IIdle {
  /**
   * Without work after which it is stopped; null: never.
   */
  minutes: number | null;

  /**
   * Of what nothing is used: of the whole server, or of its GPUs.
   */
  what?: 'server' | 'gpu';

  stage: 'work' | 'idle' | 'warning' | 'over';
  seconds_left: number | null;

  /**
   * When there may be news, in seconds.
   */
  look_again_seconds: number | null;
}

/**
 * What one asks about idleness, and the wish to keep running.
 */
export class IdleApi {
  constructor(settings: ServerConnection.ISettings) {
    this._settings = settings;
  }

  /**
   * How far it is.
   */
  read(): Promise<IIdle> {
    return requestJSON(this._settings, 'local/idle');
  }

  /**
   * Begin the time anew.
   */
  keep(): Promise<IIdle> {
    return requestJSON(this._settings, 'local/idle', { method: 'POST' });
  }

  private readonly _settings: ServerConnection.ISettings;
}
