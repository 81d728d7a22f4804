import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { DisposableDelegate } from '@lumino/disposable';

import type { ResourceKind } from '../tokens';
import { kindWords } from '../words';

/**
 * What a tab is about.
 */
export interface ITitled {
  kind: ResourceKind;
  id: number;
  name: string;

  /**
   * Called with the words of the tab, whenever they change.
   */
  show: (label: string) => void;
}

/**
 * The titles of open tabs: names alone, and what tells them apart where two have the same.
 */
export class TabTitles {
  constructor(trans: TranslationBundle) {
    this._trans = trans;
  }

  /**
   * Give a tab its title until the result is disposed of.
   */
  add(tab: ITitled): IDisposable {
    this._tabs.add(tab);
    this._show(tab.name);
    return new DisposableDelegate(() => {
      this._tabs.delete(tab);
      this._show(tab.name);
    });
  }

  private _show(name: string): void {
    const same = [...this._tabs].filter(tab => tab.name === name);
    for (const tab of same) {
      const noun = kindWords(this._trans, tab.kind);
      const alike = same.filter(({ kind }) => kind === tab.kind).length;
      tab.show(
        same.length === 1
          ? name
          : alike === 1
            ? this._trans.__('%1 (%2)', name, noun)
            : this._trans.__('%1 (%2 %3)', name, noun, tab.id)
      );
    }
  }

  private readonly _tabs = new Set<ITitled>();
  private readonly _trans: TranslationBundle;
}
