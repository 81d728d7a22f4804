import { MainAreaWidget } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

import { ErrorBoundary } from '../components/boundary';
import type { IKplContext } from '../context';
import { KplContext } from '../context';
import { RESOURCE_ICONS } from '../icons';
import { ResourceDetail } from '../models/detail';
import { TabTitles } from '../models/titles';
import type { FormKind, IFormStart, ResourceKind } from '../tokens';
import { kindWords } from '../words';
import { FORMS } from './forms';
import { PAGES } from './pages';

/**
 * A tab of the main area with the page of one resource.
 */
export class DetailWidget extends MainAreaWidget<DetailContent> {
  constructor(options: DetailContent.IOptions) {
    super({ content: new DetailContent(options) });
    const { kind, id } = options;
    this.id = `kpl-lab-${kind}-${id}`;
    this.toolbar.hide();
    this.title.icon = RESOURCE_ICONS[kind];
    this.title.closable = true;
  }
}

/**
 * The page of one resource.
 */
export class DetailContent extends ReactWidget {
  constructor(options: DetailContent.IOptions) {
    super();
    this.addClass('kpl-Main');
    this._options = options;
    this._tab = options.tab ?? '';
    const { context, kind, id } = options;
    const api = context.client[kind];
    this._model = new ResourceDetail<{ name: string }>({
      resource: kind,
      id,
      stream: context.client.stream,
      get: (ref: number) => api.get(ref)
    });
    this._model.stateChanged.connect(this._onChanged, this);
    this.title.label = `${kindWords(context.trans, kind)} ${id}`;
  }

  /**
   * The plural noun.
   */
  get kind(): ResourceKind {
    return this._options.kind;
  }

  /**
   * The id.
   */
  get resourceId(): number {
    return this._options.id;
  }

  /**
   * The tab within the page; empty for the first.
   */
  get tab(): string {
    return this._tab;
  }
  set tab(value: string) {
    if (value !== this._tab) {
      this._tab = value;
      this._tabChanged.emit();
      this.update();
    }
  }

  /**
   * The tab within the page became another.
   */
  get tabChanged(): ISignal<this, void> {
    return this._tabChanged;
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this._title?.dispose();
      this._model.dispose();
      Signal.clearData(this);
      super.dispose();
    }
  }

  protected override render(): JSX.Element {
    const { context, kind } = this._options;
    const Detail = PAGES[kind];
    return (
      <Framed context={context}>
        <Detail
          model={this._model as never}
          tab={this._tab}
          onTab={(tab: string) => (this.tab = tab)}
        />
      </Framed>
    );
  }

  private _onChanged(): void {
    if (this._model.wasDeleted) {
      // The page is about nothing any more. Not within its own signal.
      window.setTimeout(() => this.parent?.close());
      return;
    }
    const name = this._model.value?.name;
    if (name && name !== this._name) {
      const { context, kind, id } = this._options;
      this._name = name;
      this._title?.dispose();
      this._title = Private.titlesOf(context).add({
        kind,
        id,
        name,
        show: label => this._show(name, label)
      });
    }
  }

  private _show(name: string, label: string): void {
    const { context, kind } = this._options;
    for (const { title } of [this, this.parent ?? this]) {
      // The icon and the tip say what kind of thing it is: narrow tabs have room for the name alone.
      title.label = label;
      title.caption = `${kindWords(context.trans, kind)} ${name}`;
    }
  }

  private readonly _options: DetailContent.IOptions;
  private readonly _model: ResourceDetail<{ name: string }>;
  private readonly _tabChanged = new Signal<this, void>(this);
  private _name = '';
  private _tab: string;
  private _title: IDisposable | null = null;
}

/**
 * The namespace of `DetailContent` statics.
 */
export namespace DetailContent {
  export interface IOptions {
    context: IKplContext;
    kind: ResourceKind;
    id: number;

    /**
     * The tab within the page; the first by default.
     */
    tab?: string;
  }
}

/**
 * A tab of the main area with a form.
 */
export class FormWidget extends MainAreaWidget<FormContent> {
  constructor(options: FormContent.IOptions) {
    super({ content: new FormContent(options) });
    this.toolbar.hide();
    this.title.closable = true;
    this.title.icon = FORMS[options.form].icon;
    this.title.label = FORMS[options.form].title(options.context.trans);
    this.content.finished.connect(this.dispose, this);
  }
}

/**
 * A form; it ends with the page of what it made.
 */
export class FormContent extends ReactWidget {
  constructor(options: FormContent.IOptions) {
    super();
    this.addClass('kpl-Main');
    this._options = options;
  }

  /**
   * Which form.
   */
  get form(): FormKind {
    return this._options.form;
  }

  /**
   * What it was opened with.
   */
  get start(): IFormStart {
    return this._options.start;
  }

  /**
   * What it is for was done.
   */
  get finished(): ISignal<this, void> {
    return this._finished;
  }

  override dispose(): void {
    if (!this.isDisposed) {
      Signal.clearData(this);
      super.dispose();
    }
  }

  protected override render(): JSX.Element {
    const { context, form, start } = this._options;
    const Form = FORMS[form].component;
    return (
      <Framed context={context}>
        <Form
          start={start}
          onDone={(kind: ResourceKind, id: number) => {
            context.workbench.openDetail(kind, id);
            this._finished.emit();
          }}
        />
      </Framed>
    );
  }

  private readonly _options: FormContent.IOptions;
  private readonly _finished = new Signal<this, void>(this);
}

/**
 * The namespace of `FormContent` statics.
 */
export namespace FormContent {
  export interface IOptions {
    context: IKplContext;
    form: FormKind;
    start: IFormStart;
  }
}

/**
 * The context and the error boundary around a widget's root.
 */
function Framed(props: {
  context: IKplContext;
  children: React.ReactNode;
}): JSX.Element {
  const { context, children } = props;
  const { trans } = context;
  return (
    <KplContext.Provider value={context}>
      <ErrorBoundary
        message={trans.__('This page cannot be shown.')}
        retry={trans.__('Try again')}
      >
        {children}
      </ErrorBoundary>
    </KplContext.Provider>
  );
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  const titles = new WeakMap<IKplContext, TabTitles>();

  /**
   * The titles of all tabs of a workbench.
   */
  export function titlesOf(context: IKplContext): TabTitles {
    const known = titles.get(context) ?? new TabTitles(context.trans);
    titles.set(context, known);
    return known;
  }
}
