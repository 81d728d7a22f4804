import {
  addIcon,
  buildIcon,
  refreshIcon,
  saveIcon,
  searchIcon
} from '@jupyterlab/ui-components';
import {
  PanelWithToolbar,
  ReactWidget,
  ToolbarButton,
  ToolbarButtonComponent,
  addToolbarButtonClass
} from '@jupyterlab/ui-components';
import type { LabIcon } from '@jupyterlab/ui-components';
import { DisposableSet } from '@lumino/disposable';
import type { Message } from '@lumino/messaging';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import { CommandIDs } from '../../commandids';
import { ErrorBoundary } from '../../components/boundary';
import { KplContext } from '../../context';
import type { IKplContext } from '../../context';
import type { IItem, ResourceList } from '../../models/list';
import type { SectionKind } from './kinds';
import { sectionTexts } from './kinds';
import { SectionList } from './list';

/**
 * One section of the sidebar: a titled list with its toolbar.
 */
export class Section extends PanelWithToolbar {
  constructor(options: Section.IOptions) {
    super();
    const { context, kind } = options;
    const { trans } = context;
    const list = context.client.lists[kind] as unknown as ResourceList<IItem>;
    const texts = sectionTexts(kind, trans);
    this.kind = kind;
    this.addClass('kpl-Section');
    this.id = `kpl-section-${kind}`;
    this.title.label = texts.title;
    this._body = new SectionBody({ context, kind, list });
    this.addWidget(this._body);
    this.toolbar.addItem(
      'search',
      new ToolbarButton({
        icon: searchIcon,
        tooltip: trans.__('Search %1', texts.title),
        onClick: () => this._body.toggleSearch()
      })
    );
    this.toolbar.addItem(
      'refresh',
      Private.button(
        refreshIcon,
        trans.__('Refresh %1', texts.title),
        () => void list.refresh()
      )
    );
    if (kind === 'images') {
      this.toolbar.addItem(
        'save',
        Private.button(
          saveIcon,
          trans.__('Save environment as image…'),
          () => void context.commands.execute(CommandIDs.saveEnvironment)
        )
      );
      this.toolbar.addItem(
        'build',
        Private.button(
          buildIcon,
          trans.__('Build image…'),
          () => void context.commands.execute(CommandIDs.buildImage)
        )
      );
    }
    this.toolbar.addItem(
      'add',
      Private.button(
        addIcon,
        texts.add,
        () => void context.commands.execute(texts.command)
      )
    );
  }

  /**
   * The height that it needs to show all its rows.
   */
  get need(): number {
    return this._body.need;
  }

  /**
   * It needs another height than before.
   */
  get needChanged(): ISignal<unknown, void> {
    return this._body.needChanged;
  }

  /**
   * What it lists.
   */
  readonly kind: SectionKind;

  private readonly _body: SectionBody;
}

/**
 * The namespace of `Section` statics.
 */
export namespace Section {
  export interface IOptions {
    context: IKplContext;
    kind: SectionKind;
  }
}

/**
 * Tells how high its children are, whenever that changes.
 */
function Measured(props: {
  onHeight: (height: number) => void;
  children: React.ReactNode;
}): JSX.Element {
  const { onHeight, children } = props;
  const box = React.useRef<HTMLDivElement>(null);
  const latest = React.useRef(onHeight);
  latest.current = onHeight;
  React.useLayoutEffect(() => {
    const observer = new ResizeObserver(() =>
      latest.current(box.current?.offsetHeight ?? 0)
    );
    observer.observe(box.current as Element);
    return () => observer.disconnect();
  }, []);
  return <div ref={box}>{children}</div>;
}

/**
 * The list below a section's title; while it cannot be seen it costs nothing.
 */
class SectionBody extends ReactWidget {
  constructor(options: SectionBody.IOptions) {
    super();
    this._options = options;
    this.addClass('kpl-Section-body');
  }

  /**
   * The height of all that is in it, or of a few rows where nothing was drawn yet.
   */
  get need(): number {
    // Borders and spacing of the accordion, so that the last row is not cut.
    return (this._need || 80) + 6;
  }

  /**
   * It needs another height than before.
   */
  get needChanged(): ISignal<this, void> {
    return this._needChanged;
  }

  /**
   * Show or hide the search box.
   */
  toggleSearch(): void {
    this._isSearching = !this._isSearching;
    if (!this._isSearching) {
      this._options.list.search = '';
    }
    this.update();
  }

  override dispose(): void {
    this._activity?.dispose();
    Signal.clearData(this);
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._look(true);
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._look(false);
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._look(this.isVisible);
  }

  protected override onBeforeDetach(message: Message): void {
    super.onBeforeDetach(message);
    this._look(false);
  }

  protected override render(): JSX.Element {
    const { context, kind, list } = this._options;
    const { trans } = context;
    return (
      <KplContext.Provider value={context}>
        <ErrorBoundary
          message={trans.__('This list cannot be shown.')}
          retry={trans.__('Try again')}
        >
          <Measured onHeight={height => this._setNeed(height)}>
            <SectionList
              kind={kind}
              list={list}
              isSearching={this._isSearching}
            />
          </Measured>
        </ErrorBoundary>
      </KplContext.Provider>
    );
  }

  private _setNeed(height: number): void {
    // A hidden one has no height, and is opened again with the one that it had.
    if (height > 0 && height !== this._need) {
      this._need = height;
      this._needChanged.emit();
    }
  }

  private _look(isVisible: boolean): void {
    if (isVisible && !this._activity) {
      const { context, kind, list } = this._options;
      this._activity = new DisposableSet();
      this._activity.add(list.activate());
      if (kind === 'images') {
        this._activity.add(context.client.catalog.activate());
        this._activity.add(context.client.lists.builds.activate());
      }
    } else if (!isVisible) {
      this._activity?.dispose();
      this._activity = null;
    }
  }

  private readonly _options: SectionBody.IOptions;
  private _activity: DisposableSet | null = null;
  private _isSearching = false;
  private _need = 0;
  private readonly _needChanged = new Signal<this, void>(this);
}

/**
 * The namespace of `SectionBody` statics.
 */
namespace SectionBody {
  export interface IOptions {
    context: IKplContext;
    kind: SectionKind;
    list: ResourceList<IItem>;
  }
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * A button that does something; a `ToolbarButton` stays pressed once it was clicked.
   */
  export function button(
    icon: LabIcon,
    tooltip: string,
    onClick: () => void
  ): ReactWidget {
    return addToolbarButtonClass(
      ReactWidget.create(
        <ToolbarButtonComponent
          icon={icon}
          tooltip={tooltip}
          onClick={onClick}
        />
      )
    );
  }
}
