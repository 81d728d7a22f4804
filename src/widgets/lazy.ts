import type { Message } from '@lumino/messaging';
import type { Widget } from '@lumino/widgets';
import { PanelLayout, Widget as LuminoWidget } from '@lumino/widgets';

/**
 * A place for a widget whose code is loaded when it is first seen.
 */
export class LazyPanel extends LuminoWidget {
  /**
   * @param load Loads the code and makes the widget; called once.
   */
  constructor(load: () => Promise<Widget>) {
    super();
    this.addClass('kpl-LazyPanel');
    this.layout = new PanelLayout();
    this._load = load;
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._fill();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._fill();
  }

  private _fill(): void {
    if (this._isFilled || !this.isVisible) {
      return;
    }
    this._isFilled = true;
    void this._load().then(widget => {
      if (this.isDisposed) {
        widget.dispose();
      } else {
        (this.layout as PanelLayout).addWidget(widget);
      }
    });
  }

  private readonly _load: () => Promise<Widget>;
  private _isFilled = false;
}
