import type { IDisposable } from '@lumino/disposable';
import { DisposableDelegate } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';
import type { ServerConnection } from '@jupyterlab/services';

import type { Event as PlatformEvent } from '../api/types';
import { PlatformError, request } from '../request';
import type { IMessage } from './parser';
import { EventParser } from './parser';

/**
 * A piece of a log as the stream carries it; offsets are bytes.
 */
export interface ILogPart {
  source: string;
  text: string;
  offset: number;
  next_offset: number;
  complete: boolean;
}

/**
 * How the stream is doing.
 */
export type StreamState = 'connecting' | 'open' | 'reconnecting' | 'paused';

/**
 * The page's one event stream, logs included.
 *
 * It is resumed by the id of the last event and the offsets of the logs, so a cut
 * connection, a restarted platform or a hidden page costs time, never an event.
 */
export class EventStream implements IDisposable {
  constructor(options: EventStream.IOptions) {
    this._settings = options.serverSettings;
    this._stalledAfter = options.stalledAfter ?? 40_000;
    this._hiddenAfter = options.hiddenAfter ?? 10_000;
    this._random = options.random ?? Math.random;
    document.addEventListener('visibilitychange', this._onVisibility);
  }

  /**
   * Something on the platform became different.
   */
  get received(): ISignal<this, PlatformEvent> {
    return this._received;
  }

  /**
   * Events may have been missed: what is shown has to be read again.
   */
  get resync(): ISignal<this, void> {
    return this._resync;
  }

  /**
   * The state became different.
   */
  get stateChanged(): ISignal<this, StreamState> {
    return this._stateChanged;
  }

  /**
   * How the stream is doing.
   */
  get state(): StreamState {
    return this._state;
  }

  /**
   * Whether the stream was disposed of.
   */
  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /**
   * Begin to read; calling it again is harmless.
   */
  start(): void {
    if (!this._started && !this._isDisposed) {
      this._started = true;
      void this._connect();
    }
  }

  /**
   * Follow a log from a byte offset on.
   *
   * @param source What it belongs to: `tasks:42`, `builds:3`, or `services:7:1` for replica 1.
   * @returns Ends the subscription when disposed of.
   */
  followLog(
    source: string,
    offset: number,
    onPart: (part: ILogPart) => void
  ): IDisposable {
    const follower: Private.IFollower = { source, offset, onPart };
    this._followers.add(follower);
    this._reopen();
    return new DisposableDelegate(() => {
      if (this._followers.delete(follower)) {
        this._reopen();
      }
    });
  }

  /**
   * End the stream.
   */
  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    document.removeEventListener('visibilitychange', this._onVisibility);
    window.clearTimeout(this._timer);
    window.clearTimeout(this._hideTimer);
    this._followers.clear();
    this._cut();
    Signal.clearData(this);
  }

  private async _connect(): Promise<void> {
    window.clearTimeout(this._timer);
    this._cut();
    const abort = (this._abort = new AbortController());
    try {
      const response = await request(this._settings, this._path(), {
        headers: { Accept: 'text/event-stream' },
        signal: abort.signal
      });
      if (abort.signal.aborted || !response.body) {
        return;
      }
      this._opened();
      await this._read(response.body.getReader(), abort);
    } catch (error) {
      this._dropRefused(error);
      // Whatever cut the connection, the answer is the same: connect again.
    }
    if (abort === this._abort && !this._isDisposed) {
      this._retry();
    }
  }

  /**
   * A log that is gone must not keep the events of the whole page away.
   */
  private _dropRefused(error: unknown): void {
    const { status } = PlatformError.from(error);
    if (status === 400 || status === 404 || status === 422) {
      this._followers.clear();
    }
  }

  /**
   * What to ask for: everything since the last event, and the logs being followed.
   */
  private _path(): string {
    const query = new URLSearchParams();
    if (this._last !== null) {
      query.set('since', this._last);
    }
    for (const [source, offset] of this._offsets()) {
      const [resource, id, replica] = source.split(':');
      query.append(
        'log',
        [resource, id, offset, replica]
          .filter(part => part !== undefined)
          .join(':')
      );
    }
    const text = query.toString();
    return text ? `api/events?${text}` : 'api/events';
  }

  /**
   * Two views may follow one log: it is asked for once, from the lower offset.
   */
  private _offsets(): Map<string, number> {
    const offsets = new Map<string, number>();
    for (const { source, offset } of this._followers) {
      offsets.set(source, Math.min(offset, offsets.get(source) ?? offset));
    }
    return offsets;
  }

  private async _read(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    abort: AbortController
  ): Promise<void> {
    const decoder = new TextDecoder();
    const parser = new EventParser(message => this._handle(message));
    let stalled = this._watch(abort);
    try {
      for (;;) {
        const { done, value } = await reader.read();
        window.clearTimeout(stalled);
        if (done || abort.signal.aborted) {
          return;
        }
        stalled = this._watch(abort);
        parser.push(decoder.decode(value, { stream: true }));
      }
    } finally {
      window.clearTimeout(stalled);
    }
  }

  /**
   * The platform says something every 15 seconds; silence means a dead connection.
   */
  private _watch(abort: AbortController): number {
    return window.setTimeout(() => abort.abort(), this._stalledAfter);
  }

  private _handle(message: IMessage): void {
    if (message.id !== null && message.id !== '') {
      this._last = message.id;
    }
    if (message.event === 'log') {
      this._handleLog(JSON.parse(message.data) as ILogPart);
    } else if (message.event === 'event') {
      const event = JSON.parse(message.data) as PlatformEvent;
      this._last = String(event.id);
      this._received.emit(event);
    }
  }

  private _handleLog(part: ILogPart): void {
    for (const follower of this._followers) {
      if (
        follower.source === part.source &&
        (part.complete || part.next_offset > follower.offset)
      ) {
        follower.offset = part.next_offset;
        follower.onPart(part);
      }
    }
  }

  private _opened(): void {
    this._attempts = 0;
    this._setState('open');
    // Without a last event the platform cannot tell what was missed.
    if (this._last === null) {
      this._resync.emit();
    }
  }

  private _retry(): void {
    if (document.hidden && this._state === 'paused') {
      return;
    }
    this._setState('reconnecting');
    const seconds = Math.min(15, 0.5 * 2 ** this._attempts);
    this._attempts++;
    const jitter = 0.75 + 0.5 * this._random();
    this._timer = window.setTimeout(
      () => void this._connect(),
      seconds * 1000 * jitter
    );
  }

  /**
   * Ask anew soon; several changes at once make one request.
   */
  private _reopen(): void {
    if (!this._started || this._isDisposed || this._state === 'paused') {
      return;
    }
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => void this._connect(), 30);
  }

  private _cut(): void {
    const abort = this._abort;
    this._abort = null;
    abort?.abort();
  }

  private _setState(state: StreamState): void {
    if (state !== this._state) {
      this._state = state;
      this._stateChanged.emit(state);
    }
  }

  private _onVisibility = (): void => {
    window.clearTimeout(this._hideTimer);
    if (!this._started) {
      return;
    }
    if (document.hidden) {
      this._hideTimer = window.setTimeout(() => {
        window.clearTimeout(this._timer);
        this._setState('paused');
        this._cut();
      }, this._hiddenAfter);
    } else if (this._state === 'paused' || this._state === 'reconnecting') {
      this._attempts = 0;
      this._setState('connecting');
      void this._connect();
    }
  };

  private readonly _settings: ServerConnection.ISettings;
  private readonly _stalledAfter: number;
  private readonly _hiddenAfter: number;
  private readonly _random: () => number;
  private readonly _followers = new Set<Private.IFollower>();
  private readonly _received = new Signal<this, PlatformEvent>(this);
  private readonly _resync = new Signal<this, void>(this);
  private readonly _stateChanged = new Signal<this, StreamState>(this);
  private _abort: AbortController | null = null;
  private _attempts = 0;
  private _hideTimer = 0;
  private _isDisposed = false;
  private _last: string | null = null;
  private _started = false;
  private _state: StreamState = 'connecting';
  private _timer = 0;
}

/**
 * The namespace of `EventStream` statics.
 */
export namespace EventStream {
  export interface IOptions {
    serverSettings: ServerConnection.ISettings;

    /**
     * After how many milliseconds of silence a connection counts as dead.
     */
    stalledAfter?: number;

    /**
     * How many milliseconds a page is hidden before its stream is paused.
     */
    hiddenAfter?: number;

    /**
     * Spreads reconnections of many pages; replaced in tests.
     */
    random?: () => number;
  }
}

/**
 * A namespace for private types.
 */
namespace Private {
  export interface IFollower {
    source: string;
    offset: number;
    onPart: (part: ILogPart) => void;
  }
}
