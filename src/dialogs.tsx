import { Dialog, ReactWidget, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import type { ResourceKind } from './tokens';

/**
 * The body of the question: what will be lost, and a field for the name.
 */
class ConfirmBody extends ReactWidget implements Dialog.IBodyWidget<string> {
  constructor(options: ConfirmBody.IOptions) {
    super();
    this.addClass('kpl-Confirm');
    this._options = options;
  }

  /**
   * What was typed.
   */
  getValue(): string {
    return this._typed;
  }

  /**
   * Something was typed.
   */
  get typed(): ISignal<this, void> {
    return this._changed;
  }

  /**
   * Whether what was typed is the name.
   */
  get isRight(): boolean {
    return this._typed.trim() === this._options.name;
  }

  protected override render(): JSX.Element {
    const { trans, name, lost } = this._options;
    return (
      <>
        <p>{lost}</p>
        <label>
          {trans.__('Type “%1” to delete it:', name)}
          <input
            className="jp-mod-styled"
            type="text"
            autoComplete="off"
            onChange={event => {
              this._typed = event.target.value;
              this._changed.emit();
            }}
          />
        </label>
      </>
    );
  }

  private readonly _options: ConfirmBody.IOptions;
  private readonly _changed = new Signal<this, void>(this);
  private _typed = '';
}

/**
 * The namespace of `ConfirmBody` statics.
 */
namespace ConfirmBody {
  export interface IOptions {
    trans: TranslationBundle;
    name: string;
    lost: string;
  }
}

/**
 * Ask before something that cannot be undone.
 */
export async function confirm(options: {
  trans: TranslationBundle;
  title: string;

  /**
   * What is lost.
   */
  body: string;

  /**
   * What the button does that goes on.
   */
  label: string;
}): Promise<boolean> {
  const { trans, title, body, label } = options;
  const { button } = await showDialog({
    title,
    body,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label })
    ]
  });
  return button.accept;
}

/**
 * Ask before a task or service is stopped, where something is lost by it.
 */
export async function confirmStop(
  trans: TranslationBundle,
  kind: 'services' | 'tasks',
  { name, state, ready = 0 }: { name: string; state: string; ready?: number }
): Promise<boolean> {
  const isTask = kind === 'tasks';
  if (isTask ? state !== 'running' : ready === 0) {
    return true;
  }
  return confirm({
    trans,
    title: trans.__('Stop “%1”?', name),
    body: isTask
      ? trans.__(
          'It cannot go on later. What it has written is kept as files, and becomes no model or dataset; its log and curves stay.'
        )
      : trans._n(
          'It has %1 replica that answers. Calls will fail until the service is started again; its address stays the same.',
          'It has %1 replicas that answer. Calls will fail until the service is started again; its address stays the same.',
          ready
        ),
    label: trans.__('Stop')
  });
}

/**
 * Ask before something is deleted for good: it names what is lost and wants the name typed.
 */
export async function confirmDelete(options: {
  trans: TranslationBundle;
  kind: ResourceKind;
  name: string;
}): Promise<boolean> {
  const { trans, kind, name } = options;
  const body = new ConfirmBody({ trans, name, lost: whatIsLost(trans, kind) });
  const dialog = new ConfirmDialog({
    title: trans.__('Delete “%1”?', name),
    body,
    focusNodeSelector: 'input',
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Delete') })
    ]
  });
  body.typed.connect(() => dialog.allow(body.isRight));
  dialog.allow(false);
  const result = await dialog.launch();
  return result.button.accept && result.value?.trim() === name;
}

/**
 * A question whose last button can be pressed only when it is allowed.
 */
class ConfirmDialog extends Dialog<string> {
  /**
   * Let the last button be pressed, or not.
   */
  allow(isAllowed: boolean): void {
    const button = Array.from(
      this.node.querySelectorAll<HTMLButtonElement>('.jp-Dialog-footer button')
    ).pop();
    if (button) {
      button.disabled = !isAllowed;
    }
    this._isAllowed = isAllowed;
  }

  /**
   * Answer with a button; Enter does nothing until the last one may be pressed.
   */
  override resolve(index?: number): void {
    if (this._isAllowed || index === 0) {
      super.resolve(index);
    }
  }

  private _isAllowed = false;
}

function whatIsLost(trans: TranslationBundle, kind: ResourceKind): string {
  switch (kind) {
    case 'algorithms':
      return trans.__(
        'All its versions and their logs will be lost. Tasks that ran with it stay.'
      );
    case 'builds':
      return trans.__('Its log will be lost. The image stays.');
    case 'datasets':
      return trans.__(
        'All its versions and their records will be lost. What uses it keeps it: unmount it first.'
      );
    case 'images':
      return trans.__(
        'It leaves the catalog, and nothing new starts from it. What runs goes on.'
      );
    case 'models':
      return trans.__('All its versions and their files will be lost.');
    case 'services':
      return trans.__(
        'Its address ends, and its replicas and their logs will be lost.'
      );
    case 'tasks':
      return trans.__(
        'Its log, curves and code will be lost. Models and datasets that it made stay.'
      );
  }
}
