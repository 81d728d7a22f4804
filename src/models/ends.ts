import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type {
  BuildView,
  Event as PlatformEvent,
  ServiceView,
  TaskView
} from '../api/types';
import type { EventStream } from '../stream/stream';

/**
 * Something of the user's that came to an end.
 */
export type End =
  | { kind: 'builds'; item: BuildView }
  | { kind: 'services'; item: ServiceView }
  | { kind: 'tasks'; item: TaskView };

/**
 * The states in which somebody wants to be told.
 */
const ENDS: Record<string, string[]> = {
  builds: ['succeeded', 'failed'],
  services: ['failed'],
  tasks: ['succeeded', 'failed', 'stopped']
};

/**
 * Tells when a task of the user's ends, the making of an image, or a service of theirs fails.
 *
 * The stream of a page begins with what happens after it was opened, so nothing older is told.
 */
export class Ends implements IDisposable {
  constructor(options: Ends.IOptions) {
    this._options = options;
    options.stream.received.connect(this._onEvent, this);
  }

  /**
   * Something came to an end.
   */
  get ended(): ISignal<this, End> {
    return this._ended;
  }

  /**
   * Whether it was disposed of.
   */
  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /**
   * End it.
   */
  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      Signal.clearData(this);
    }
  }

  private _onEvent(_: EventStream, event: PlatformEvent): void {
    const { resource, resource_id: id, kind, data } = event;
    if (kind !== 'state' || !(resource in ENDS)) {
      return;
    }
    // A build does not say in which state it is; it is looked up anyhow.
    const state = data?.state ?? null;
    if (state === null || ENDS[resource].includes(String(state))) {
      void this._tell(resource, id, state).catch(() => {
        // Deleted, or not to be reached: nobody can open it then.
      });
    }
  }

  private async _tell(
    resource: string,
    id: number,
    state: unknown
  ): Promise<void> {
    const { build, user, task, service } = this._options;
    const end: End =
      resource === 'tasks'
        ? { kind: 'tasks', item: await task(id) }
        : resource === 'builds'
          ? { kind: 'builds', item: await build(id) }
          : { kind: 'services', item: await service(id) };
    // What code needs is built along the way, and told with the task or algorithm.
    const isAsked = end.kind !== 'builds' || end.item.for_catalog;
    const isMine = isAsked && end.item.owner === (await user());
    // Whoever stopped it by hand knows.
    const isByHand = state === 'stopped' && end.item.reason === 'stopped';
    const isSo = ENDS[resource].includes(end.item.state);
    const isThen = isSo && (state === null || end.item.state === state);
    if (isMine && !isByHand && isThen && !this._isDisposed) {
      this._ended.emit(end);
    }
  }

  private readonly _ended = new Signal<this, End>(this);
  private _isDisposed = false;
  private readonly _options: Ends.IOptions;
}

/**
 * The namespace of `Ends` statics.
 */
export namespace Ends {
  export interface IOptions {
    stream: EventStream;

    /**
     * The name of the user.
     */
    user: () => Promise<string>;
    build: (id: number) => Promise<BuildView>;
    task: (id: number) => Promise<TaskView>;
    service: (id: number) => Promise<ServiceView>;
  }
}
