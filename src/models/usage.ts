import { VDomModel } from '@jupyterlab/ui-components';
import { Poll } from '@lumino/polling';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { IEnded, IServerUsage } from '../api/local';

/**
 * How often the server is measured while the page can be seen, in milliseconds.
 */
const INTERVAL = 5_000;

/**
 * The shares from which on something is drawn as a warning, and as an error.
 */
const HIGH = { warn: 0.8, bad: 0.95 };

/**
 * The share of the memory from which on the user is warned, and the one below which again.
 */
const SHORT = { from: 0.9, until: 0.8 };

/**
 * How a share is drawn.
 */
export type Tone = 'bad' | 'warn' | undefined;

/**
 * How much attention a share of a limit needs.
 */
export function toneOf(
  used: number | null,
  limit: number | null | undefined
): Tone {
  if (used === null || !limit) {
    return undefined;
  }
  const share = used / limit;
  return share >= HIGH.bad ? 'bad' : share >= HIGH.warn ? 'warn' : undefined;
}

/**
 * What this notebook server uses, and what must be said about it.
 */
export class UsageModel extends VDomModel {
  constructor(options: UsageModel.IOptions) {
    super();
    this._options = options;
    this._poll = new Poll({
      auto: false,
      name: 'kpl-lab:usage',
      standby: options.standby ?? 'when-hidden',
      frequency: { interval: INTERVAL, backoff: true, max: 120_000 },
      factory: async () => this._take(await options.read())
    });
  }

  /**
   * The last reading; null before the first.
   */
  get usage(): IServerUsage | null {
    return this._usage;
  }

  /**
   * Memory is running out; told once, and again only after it fell.
   */
  get memoryShort(): ISignal<this, IServerUsage> {
    return this._memoryShort;
  }

  /**
   * Something was ended for memory; each is told once in a browser.
   */
  get ended(): ISignal<this, IEnded> {
    return this._ended;
  }

  /**
   * Begin to measure.
   */
  start(): void {
    void this._poll.start();
  }

  /**
   * Measure now.
   */
  async refresh(): Promise<void> {
    await this._poll.refresh();
    await this._poll.tick;
  }

  /**
   * End it.
   */
  override dispose(): void {
    if (!this.isDisposed) {
      this._poll.dispose();
      Signal.clearData(this);
      super.dispose();
    }
  }

  private _take(usage: IServerUsage): void {
    this._usage = usage;
    this.stateChanged.emit();
    this._tellEnded(usage);
    const share = usage.memory_limit ? usage.memory / usage.memory_limit : 0;
    if (share < SHORT.until) {
      this._wasShort = false;
    } else if (share >= SHORT.from && !this._wasShort) {
      this._wasShort = true;
      this._memoryShort.emit(usage);
    }
  }

  private _tellEnded(usage: IServerUsage): void {
    const { memory } = this._options;
    // Times rise over starts of the server; its numbers begin anew.
    const last = memory.getItem(UsageModel.KEY) ?? '';
    const fresh = usage.ended.filter(one => one.at > last);
    if (fresh.length > 0) {
      memory.setItem(UsageModel.KEY, fresh[fresh.length - 1].at);
      fresh.forEach(one => this._ended.emit(one));
    }
  }

  private readonly _ended = new Signal<this, IEnded>(this);
  private readonly _memoryShort = new Signal<this, IServerUsage>(this);
  private readonly _options: UsageModel.IOptions;
  private readonly _poll: Poll;
  private _usage: IServerUsage | null = null;
  private _wasShort = false;
}

/**
 * The namespace of `UsageModel` statics.
 */
export namespace UsageModel {
  /**
   * Under which the time of what was told last is kept.
   */
  export const KEY = 'kpl-lab:usage:told';

  export interface IOptions {
    read: () => Promise<IServerUsage>;

    /**
     * What outlives the page.
     */
    memory: Pick<Storage, 'getItem' | 'setItem'>;

    /**
     * When not to measure.
     */
    standby?: Poll.Standby;
  }
}
