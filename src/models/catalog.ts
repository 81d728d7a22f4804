import { VDomModel } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';
import { DisposableDelegate } from '@lumino/disposable';
import { Poll } from '@lumino/polling';

import type { ImagesApi } from '../api/images';
import type { CatalogView } from '../api/types';

/**
 * How the administrator's catalog file stands. No event tells of it, so it is asked for while
 * somebody looks.
 */
export class CatalogModel extends VDomModel {
  constructor(options: CatalogModel.IOptions) {
    super();
    this._poll = new Poll({
      auto: false,
      name: 'kpl-lab:catalog',
      frequency: {
        interval: options.interval ?? 10_000,
        backoff: true,
        max: 120_000
      },
      standby: 'when-hidden',
      factory: async () => this._set(await options.api.catalog())
    });
  }

  /**
   * What was read last; null before the first answer.
   */
  get value(): CatalogView | null {
    return this._value;
  }

  /**
   * Keep it true until the result is disposed of.
   */
  activate(): IDisposable {
    this._viewers++;
    if (this._viewers === 1) {
      void this._poll.start();
    }
    return new DisposableDelegate(() => {
      this._viewers--;
      if (this._viewers === 0) {
        void this._poll.stop();
      }
    });
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this._poll.dispose();
      super.dispose();
    }
  }

  private _set(value: CatalogView): void {
    if (JSON.stringify(value) !== JSON.stringify(this._value)) {
      this._value = value;
      this.stateChanged.emit();
    }
  }

  private readonly _poll: Poll;
  private _value: CatalogView | null = null;
  private _viewers = 0;
}

/**
 * The namespace of `CatalogModel` statics.
 */
export namespace CatalogModel {
  export interface IOptions {
    api: Pick<ImagesApi, 'catalog'>;

    /**
     * How often it is asked for, in milliseconds.
     */
    interval?: number;
  }
}
