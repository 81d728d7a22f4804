import { Dialog, ReactWidget, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
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
            onChange={event => (this._typed = event.target.value)}
          />
        </label>
      </>
    );
  }

  private readonly _options: ConfirmBody.IOptions;
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
 * Ask before something is deleted for good: it names what is lost and wants the name typed.
 */
export async function confirmDelete(options: {
  trans: TranslationBundle;
  kind: ResourceKind;
  name: string;
}): Promise<boolean> {
  const { trans, kind, name } = options;
  const result = await showDialog({
    title: trans.__('Delete “%1”?', name),
    body: new ConfirmBody({ trans, name, lost: whatIsLost(trans, kind) }),
    focusNodeSelector: 'input',
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Delete') })
    ]
  });
  if (!result.button.accept) {
    return false;
  }
  if (result.value?.trim() === name) {
    return true;
  }
  await showDialog({
    title: trans.__('Nothing was deleted'),
    body: trans.__('What you typed is not the name “%1”.', name),
    buttons: [Dialog.okButton({ label: trans.__('OK') })]
  });
  return false;
}

function whatIsLost(trans: TranslationBundle, kind: ResourceKind): string {
  switch (kind) {
    case 'algorithms':
      return trans.__(
        'All its versions and their logs will be lost. Tasks that ran with it stay.'
      );
    case 'datasets':
      return trans.__(
        'All its versions and their records will be lost, and its mounts end.'
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
