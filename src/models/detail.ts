import { VDomModel } from '@jupyterlab/ui-components';

import type { Event as PlatformEvent } from '../api/types';
import { PlatformError } from '../request';
import type { EventStream } from '../stream/stream';

/**
 * One resource in full, kept true by the page's event stream.
 */
export class ResourceDetail<T> extends VDomModel {
  constructor(options: ResourceDetail.IOptions<T>) {
    super();
    this._options = options;
    options.stream.received.connect(this._onEvent, this);
    options.stream.resync.connect(this._onResync, this);
    options.stream.start();
    void this.refresh();
  }

  /**
   * The id.
   */
  get id(): number {
    return this._options.id;
  }

  /**
   * What was read last; null before the first answer.
   */
  get value(): T | null {
    return this._value;
  }

  /**
   * Why the last reading failed.
   */
  get error(): PlatformError | null {
    return this._error;
  }

  /**
   * Whether it was deleted.
   */
  get isDeleted(): boolean {
    return this._isDeleted;
  }

  /**
   * Whether it was there, and was deleted since.
   */
  get wasDeleted(): boolean {
    return this._isDeleted && this._value !== null;
  }

  /**
   * A number that grows with every event; what is read beside the detail follows it.
   */
  get revision(): number {
    return this._revision;
  }

  /**
   * Read it anew.
   */
  async refresh(): Promise<void> {
    const reading = ++this._reading;
    try {
      const value = await this._options.get(this.id);
      if (reading === this._reading && !this.isDisposed) {
        this.put(value);
      }
    } catch (error) {
      if (reading === this._reading && !this.isDisposed) {
        this._error = PlatformError.from(error);
        this._isDeleted = this._error.status === 404;
        this.stateChanged.emit();
      }
    }
  }

  /**
   * Put in what an answer to a request of ours said.
   */
  put(value: T): void {
    this._value = value;
    this._error = null;
    this.stateChanged.emit();
  }

  /**
   * End it.
   */
  override dispose(): void {
    window.clearTimeout(this._timer);
    super.dispose();
  }

  private _onResync(): void {
    this._revision++;
    void this.refresh();
  }

  private _onEvent(_: EventStream, event: PlatformEvent): void {
    const { resource, id } = this._options;
    if (event.resource !== resource || event.resource_id !== id) {
      return;
    }
    this._revision++;
    if (event.kind === 'deleted') {
      this._isDeleted = true;
      this.stateChanged.emit();
    } else if (this._timer === 0) {
      this._timer = window.setTimeout(() => {
        this._timer = 0;
        void this.refresh();
      }, this._options.settleAfter ?? 150);
    }
  }

  private readonly _options: ResourceDetail.IOptions<T>;
  private _error: PlatformError | null = null;
  private _isDeleted = false;
  private _reading = 0;
  private _revision = 0;
  private _timer = 0;
  private _value: T | null = null;
}

/**
 * The namespace of `ResourceDetail` statics.
 */
export namespace ResourceDetail {
  export interface IOptions<T> {
    /**
     * The plural noun that events carry, e.g. `tasks`.
     */
    resource: string;

    id: number;
    stream: EventStream;
    get: (id: number) => Promise<T>;

    /**
     * How many milliseconds of events make one reading.
     */
    settleAfter?: number;
  }
}
