import type { IStateDB } from '@jupyterlab/statedb';
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import { MessageLoop } from '@lumino/messaging';
import type { AccordionPanel } from '@lumino/widgets';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import type { IKplContext } from '../../context';
import { KplContext } from '../../context';
import { Capacity } from './capacity';
import type { SectionKind } from './kinds';
import { Section } from './section';

/**
 * The sections from top to bottom.
 */
const SECTIONS: SectionKind[] = [
  'datasets',
  'tasks',
  'algorithms',
  'models',
  'services',
  'images'
];

/**
 * Those that are open the first time.
 */
const OPEN_AT_FIRST = ['datasets', 'tasks'];

/**
 * Where the open sections are remembered.
 */
const STATE_KEY = 'kpl-lab:sidebar';

/**
 * The sidebar: capacity on top, then one section for each kind of resource.
 */
export class Sidebar extends SidePanel {
  constructor(options: Sidebar.IOptions) {
    const { context, translator, state } = options;
    super({ translator });
    this._state = state;
    this.addClass('kpl-Sidebar');
    const capacity = ReactWidget.create(
      <KplContext.Provider value={context}>
        <Capacity />
      </KplContext.Provider>
    );
    capacity.addClass('kpl-Sidebar-capacity');
    this.header.addWidget(capacity);
    for (const kind of SECTIONS) {
      this.addWidget(new Section({ context, kind }));
    }
    this._show(OPEN_AT_FIRST);
    this._accordion.expansionToggled.connect(this._makeRoom, this);
    // The header grows with what it says, which tells no layout by itself.
    this._observer = new ResizeObserver(() => {
      MessageLoop.postMessage(this.content, Widget.ResizeMessage.UnknownSize);
    });
    this._observer.observe(this.content.node);
    void this._restore();
  }

  override dispose(): void {
    this._observer.disconnect();
    super.dispose();
  }

  /**
   * Open what was open the last time, then remember every change.
   */
  private async _restore(): Promise<void> {
    const saved = await this._state?.fetch(STATE_KEY);
    if (this.isDisposed) {
      return;
    }
    if (Array.isArray(saved)) {
      this._show(saved.map(String));
    }
    this._accordion.expansionToggled.connect(this._save, this);
    this._makeRoom();
  }

  private _show(kinds: string[]): void {
    this._sections.forEach((section, at) => {
      if (kinds.includes(section.kind)) {
        this._accordion.expand(at);
      } else {
        this._accordion.collapse(at);
      }
    });
  }

  /**
   * Share the height anew where an open section has none: one that was never open has no
   * height to go back to.
   */
  private _makeRoom(): void {
    const sizes = this._accordion.relativeSizes();
    const sections = this._sections;
    if (sections.some((section, at) => !section.isHidden && !sizes[at])) {
      this._accordion.setRelativeSizes(
        sections.map(section => (section.isHidden ? 0 : 1))
      );
    }
  }

  private _save(): void {
    const open = this._sections
      .filter(section => !section.isHidden)
      .map(section => section.kind);
    void this._state?.save(STATE_KEY, open);
  }

  private get _sections(): Section[] {
    return this.widgets.filter(
      (widget): widget is Section => widget instanceof Section
    );
  }

  private get _accordion(): AccordionPanel {
    return this.content as AccordionPanel;
  }

  private readonly _observer: ResizeObserver;
  private readonly _state: IStateDB | null;
}

/**
 * The namespace of `Sidebar` statics.
 */
export namespace Sidebar {
  export interface IOptions extends SidePanel.IOptions {
    context: IKplContext;

    /**
     * Where the open sections are remembered; null forgets them.
     */
    state: IStateDB | null;
  }
}
