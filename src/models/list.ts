import { VDomModel } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';
import { DisposableDelegate } from '@lumino/disposable';

import type { IListQuery, IPage } from '../api/common';
import type { Event as PlatformEvent } from '../api/types';
import { PlatformError } from '../request';
import type { EventStream } from '../stream/stream';

/**
 * The least that an item of a list has.
 */
export interface IItem {
  id: number;
  name: string;
}

/**
 * A list of one kind of resource, kept true by the page's event stream.
 *
 * It reads nothing until somebody looks at it (`activate`), and keeps the order and the
 * identity of unchanged items, so that views stay where they are.
 */
export class ResourceList<T extends IItem> extends VDomModel {
  constructor(options: ResourceList.IOptions<T>) {
    super();
    this._options = options;
    this._pageSize = options.pageSize ?? 50;
    this._settleAfter = options.settleAfter ?? 150;
    options.stream.received.connect(this._onEvent, this);
    options.stream.resync.connect(this._onResync, this);
  }

  /**
   * What is known so far, newest first.
   */
  get items(): ReadonlyArray<T> {
    return this._items;
  }

  /**
   * Whether the list was read at least once.
   */
  get isLoaded(): boolean {
    return this._isLoaded;
  }

  /**
   * Why the last reading failed.
   */
  get error(): PlatformError | null {
    return this._error;
  }

  /**
   * Whether there is more than what is shown.
   */
  get hasMore(): boolean {
    return this._next !== null;
  }

  /**
   * What names are searched for; empty for all.
   */
  get search(): string {
    return this._search;
  }
  set search(value: string) {
    if (value !== this._search) {
      this._search = value;
      this._next = null;
      void this.refresh();
      this.stateChanged.emit();
    }
  }

  /**
   * Look at the list: it is read now and kept true until the result is disposed of.
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
   * Read the list anew, as many items as are shown.
   */
  async refresh(): Promise<void> {
    const reading = ++this._reading;
    try {
      const limit = Math.max(this._pageSize, Math.min(200, this._items.length));
      const page = await this._options.list({ limit, search: this._search });
      if (reading === this._reading && !this.isDisposed) {
        this._set(page);
      }
    } catch (error) {
      if (reading === this._reading && !this.isDisposed) {
        this._error = PlatformError.from(error);
        this.stateChanged.emit();
      }
    }
  }

  /**
   * Read the next page.
   */
  async more(): Promise<void> {
    if (this._next === null) {
      return;
    }
    const reading = ++this._reading;
    const page = await this._options.list({
      limit: this._pageSize,
      cursor: this._next,
      search: this._search
    });
    if (reading === this._reading && !this.isDisposed) {
      const known = new Set(this._items.map(item => item.id));
      this._set({
        items: [...this._items, ...page.items.filter(i => !known.has(i.id))],
        next: page.next
      });
    }
  }

  /**
   * Put in what an answer to a request of ours said, without waiting for its event.
   */
  put(item: T): void {
    const at = this._items.findIndex(other => other.id === item.id);
    if (at >= 0) {
      this._items = this._items.map(other =>
        other.id === item.id ? item : other
      );
    } else if (this._isLoaded && !this._search) {
      this._items = [item, ...this._items];
    } else {
      return;
    }
    this.stateChanged.emit();
  }

  /**
   * Take out what was deleted.
   */
  remove(id: number): void {
    const items = this._items.filter(item => item.id !== id);
    if (items.length !== this._items.length) {
      this._items = items;
      this.stateChanged.emit();
    }
  }

  /**
   * End it.
   */
  override dispose(): void {
    window.clearTimeout(this._timer);
    super.dispose();
  }

  private _set(page: IPage<T>): void {
    const known = new Map(this._items.map(item => [item.id, item]));
    this._items = page.items.map(item => {
      const old = known.get(item.id);
      return old && JSON.stringify(old) === JSON.stringify(item) ? old : item;
    });
    this._next = page.next ?? null;
    this._isLoaded = true;
    this._error = null;
    this.stateChanged.emit();
  }

  private _onResync(): void {
    if (this._viewers > 0) {
      void this.refresh();
    }
  }

  private _onEvent(_: EventStream, event: PlatformEvent): void {
    if (event.resource !== this._options.resource || !this._isLoaded) {
      return;
    }
    if (event.kind === 'deleted') {
      this._changed.delete(event.resource_id);
      this.remove(event.resource_id);
    } else {
      this._changed.add(event.resource_id);
      this._settle();
    }
  }

  /**
   * Many events in a row make one reading.
   */
  private _settle(): void {
    if (this._timer === 0 && !this.isDisposed) {
      this._timer = window.setTimeout(() => {
        this._timer = 0;
        void this._readChanged();
      }, this._settleAfter);
    }
  }

  private async _readChanged(): Promise<void> {
    const ids = [...this._changed];
    this._changed.clear();
    if (this._viewers === 0) {
      // Nobody looks: the next viewer reads the list anyhow.
      return;
    }
    if (ids.length > 5 || this._search) {
      await this.refresh();
      return;
    }
    await Promise.all(ids.map(id => this._readOne(id)));
  }

  private async _readOne(id: number): Promise<void> {
    try {
      const item = await this._options.get(id);
      if (!this.isDisposed) {
        this.put(item);
      }
    } catch (error) {
      if (PlatformError.from(error).status === 404) {
        this.remove(id);
      }
    }
  }

  private readonly _options: ResourceList.IOptions<T>;
  private readonly _pageSize: number;
  private readonly _settleAfter: number;
  private readonly _changed = new Set<number>();
  private _error: PlatformError | null = null;
  private _isLoaded = false;
  private _items: ReadonlyArray<T> = [];
  private _next: string | null = null;
  private _reading = 0;
  private _search = '';
  private _timer = 0;
  private _viewers = 0;
}

/**
 * The namespace of `ResourceList` statics.
 */
export namespace ResourceList {
  export interface IOptions<T extends IItem> {
    /**
     * The plural noun that events carry, e.g. `tasks`.
     */
    resource: string;

    stream: EventStream;
    list: (query: IListQuery) => Promise<IPage<T>>;
    get: (id: number) => Promise<T>;

    /**
     * How many items are read at once.
     */
    pageSize?: number;

    /**
     * How many milliseconds of events make one reading.
     */
    settleAfter?: number;
  }
}
