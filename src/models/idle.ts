import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { IIdle } from '../api/idle';

/**
 * How long to wait after a question that was not answered, in milliseconds.
 */
const RETRY = 15_000;

/**
 * Whether this server is about to be stopped because nothing runs in it.
 *
 * It asks the Jupyter server, which measures; where nothing ever stops the server by itself
 * it asks once.
 */
export class IdleModel implements IDisposable {
  constructor(options: IdleModel.IOptions) {
    this._options = options;
  }

  /**
   * `secondsLeft` or `wasStopped` became different.
   */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /**
   * Until it is stopped; null where nobody needs to be warned.
   */
  get secondsLeft(): number | null {
    return this._stopsAt === null
      ? null
      : Math.max(0, Math.ceil((this._stopsAt - Date.now()) / 1000));
  }

  /**
   * Of what nothing is used.
   */
  get what(): 'server' | 'gpu' {
    return this._what;
  }

  /**
   * Whether the server went away after its time was over.
   */
  get wasStopped(): boolean {
    return this._wasStopped;
  }

  /**
   * Whether the model was disposed of.
   */
  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /**
   * Begin to ask.
   */
  start(): void {
    void this._look();
  }

  /**
   * Begin the server's time anew.
   */
  async keep(): Promise<void> {
    this._take(await this._options.keep());
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      window.clearTimeout(this._looking);
      window.clearInterval(this._ticking);
      Signal.clearData(this);
    }
  }

  private async _look(): Promise<void> {
    window.clearTimeout(this._looking);
    let seconds: number | null = RETRY / 1000;
    try {
      const idle = await this._options.read();
      if (this._isDisposed) {
        return;
      }
      this._take(idle);
      seconds = idle.minutes === null ? null : idle.look_again_seconds;
    } catch {
      if (this._isDisposed || this._noteGone()) {
        return;
      }
    }
    if (seconds !== null) {
      this._looking = window.setTimeout(
        () => void this._look(),
        seconds * 1000
      );
    }
  }

  /**
   * Take a server that is gone when its time is over for stopped.
   */
  private _noteGone(): boolean {
    if (this.secondsLeft !== 0) {
      return false;
    }
    this._wasStopped = true;
    window.clearInterval(this._ticking);
    this._changed.emit();
    return true;
  }

  private _take(idle: IIdle): void {
    this._what = idle.what ?? 'server';
    const isNear = idle.stage === 'warning' || idle.stage === 'over';
    const wasNear = this._stopsAt !== null;
    this._stopsAt = isNear
      ? Date.now() + (idle.seconds_left ?? 0) * 1000
      : null;
    if (isNear && !wasNear) {
      this._ticking = window.setInterval(() => this._changed.emit(), 1000);
    } else if (!isNear && wasNear) {
      window.clearInterval(this._ticking);
    }
    if (isNear || wasNear) {
      this._changed.emit();
    }
  }

  private readonly _options: IdleModel.IOptions;
  private readonly _changed = new Signal<this, void>(this);
  private _isDisposed = false;
  private _looking = 0;
  private _what: 'server' | 'gpu' = 'server';
  private _stopsAt: number | null = null;
  private _ticking = 0;
  private _wasStopped = false;
}

/**
 * The namespace of `IdleModel` statics.
 */
export namespace IdleModel {
  export interface IOptions {
    read: () => Promise<IIdle>;
    keep: () => Promise<IIdle>;
  }
}
