import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IdleApi } from '../api/idle';
import { IdleModel } from '../models/idle';
import { PlatformError } from '../request';

/**
 * Warns before the server is stopped because nothing runs in it, and offers to keep it running.
 */
export const idlePlugin: JupyterFrontEndPlugin<void> = {
  id: 'kpl-lab:idle',
  description: 'Warns before an idle server is stopped.',
  autoStart: true,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('kpl_lab');
    const api = new IdleApi(app.serviceManager.serverSettings);
    const model = new IdleModel({
      read: () => api.read(),
      keep: () => api.keep()
    });
    const notice = new Private.Notice(model, trans);
    model.changed.connect(notice.update, notice);
    void app.restored.then(() => model.start());
  }
};

/**
 * A namespace for private helpers.
 */
namespace Private {
  /**
   * The one notification of the warning.
   */
  export class Notice {
    constructor(model: IdleModel, trans: TranslationBundle) {
      this._model = model;
      this._trans = trans;
    }

    /**
     * Show, change or take back the notification.
     */
    update(): void {
      const { secondsLeft, wasStopped, what } = this._model;
      if (wasStopped) {
        this._show(
          what === 'gpu'
            ? this._trans.__(
                'This server was stopped: its GPUs had computed nothing. Your files are kept; start it again from the start page.'
              )
            : this._trans.__(
                'This server was stopped: nothing had run in it. Your files are kept; start it again from the start page.'
              ),
          []
        );
      } else if (secondsLeft === null) {
        this._takeBack();
      } else {
        this._show(
          what === 'gpu'
            ? this._trans.__(
                'The GPUs of this server compute nothing. It will be stopped in %1.',
                left(this._trans, secondsLeft)
              )
            : this._trans.__(
                'Nothing runs in this server. It will be stopped in %1.',
                left(this._trans, secondsLeft)
              ),
          [
            {
              label: this._trans.__('Keep running'),
              displayType: 'accent',
              callback: () => void this._keep()
            }
          ]
        );
      }
    }

    private async _keep(): Promise<void> {
      this._takeBack();
      try {
        await this._model.keep();
      } catch (error) {
        const { said } = await import('../said');
        Notification.error(
          said(this._trans, PlatformError.from(error).message)
        );
      }
    }

    private _show(message: string, actions: Notification.IAction[]): void {
      if (message === this._message) {
        return;
      }
      this._message = message;
      if (this._id === null) {
        this._id = Notification.warning(message, { autoClose: false, actions });
      } else if (
        !Notification.update({ id: this._id, message, actions }) &&
        actions.length === 0
      ) {
        // Closed by the user, who should know of the end all the same.
        this._id = Notification.warning(message, { autoClose: false });
      }
    }

    private _takeBack(): void {
      if (this._id !== null) {
        Notification.dismiss(this._id);
      }
      this._id = null;
      this._message = '';
    }

    private readonly _model: IdleModel;
    private readonly _trans: TranslationBundle;
    private _id: string | null = null;
    private _message = '';
  }

  /**
   * A countdown in words; in steps of ten seconds while there is more than a minute, so that
   * who has it read aloud is not told every second.
   */
  function left(trans: TranslationBundle, seconds: number): string {
    if (seconds <= 60) {
      return trans.__('%1 s', seconds);
    }
    const tens = Math.ceil(seconds / 10) * 10;
    return trans.__('%1 min %2 s', Math.floor(tens / 60), tens % 60);
  }
}
