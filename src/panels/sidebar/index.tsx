import type { IStateDB } from '@jupyterlab/statedb';
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import { MessageLoop } from '@lumino/messaging';
import type { AccordionPanel } from '@lumino/widgets';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import type { IKplContext } from '../../context';
import { KplContext } from '../../context';
import { Capacity } from './capacity';
import { shareHeight } from './heights';
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
    this._accordion.expansionToggled.connect(this._onToggled, this);
    // Whoever moves a border knows better, until a section is opened or closed.
    this._accordion.handleMoved.connect(() => {
      this._isByHand = true;
    });
    // The header grows with what it says, and sections with their rows: no layout hears of that.
    this._observer = new ResizeObserver(() => this._makeRoom());
    this._observer.observe(this.node);
    this._observer.observe(this.header.node);
    this._sections.forEach(section =>
      section.needChanged.connect(this._makeRoom, this)
    );
    void this._restore();
  }

  override dispose(): void {
    this._observer.disconnect();
    window.cancelAnimationFrame(this._frame);
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

  private _onToggled(): void {
    this._isByHand = false;
    this._makeRoom();
  }

  /**
   * Share the height anew: each open section gets what its rows need, as far as there is room.
   */
  private _makeRoom(): void {
    if (this._isByHand || this._frame !== 0) {
      return;
    }
    this._frame = window.requestAnimationFrame(() => {
      this._frame = 0;
      if (this.isDisposed || !this.isVisible) {
        return;
      }
      const titles = this._accordion.titles.reduce(
        (sum, title) => sum + title.offsetHeight,
        0
      );
      const room =
        this.node.clientHeight - this.header.node.offsetHeight - titles;
      const heights = shareHeight(
        this._sections.map(section => (section.isHidden ? 0 : section.need)),
        room
      );
      const all = heights.reduce((sum, height) => sum + height, 0);
      const { style } = this.content.node;
      // The titles stand below one another; what nobody needs is left empty below them.
      style.maxHeight = all > 0 && all < room ? `${titles + all}px` : '';
      if (all > 0) {
        this._accordion.setRelativeSizes(heights);
      }
      MessageLoop.postMessage(this.content, Widget.ResizeMessage.UnknownSize);
    });
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
  private _frame = 0;
  private _isByHand = false;
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
