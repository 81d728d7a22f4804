import { VDomModel } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';

import type { LogPage } from '../api/types';
import { PlatformError } from '../request';
import type { EventStream, ILogPart } from '../stream/stream';

/**
 * How many lines are kept; older ones are in the file to download.
 */
const KEPT = 200_000;

/**
 * A page of fewer bytes is taken for the end of what there is.
 */
const SHORT = 65_536;

/**
 * A log as lines, read from its start or its end and then followed.
 *
 * Parts may come far faster than they can be painted: they are collected, and the model
 * tells of a change at most once a frame.
 */
export class LogModel extends VDomModel {
  constructor(options: LogModel.IOptions) {
    super();
    this._options = options;
    void this._start();
  }

  /**
   * The complete lines and the unfinished last one.
   */
  get lines(): ReadonlyArray<string> {
    return this._lines;
  }

  /**
   * A number that grows whenever the lines, which change in place, become different.
   */
  get revision(): number {
    return this._revision;
  }

  /**
   * The lines that contain a text, whatever its case; all lines for an empty one.
   */
  matching(query: string): ReadonlyArray<string> {
    if (query === '') {
      return this._lines;
    }
    const known = this._found;
    if (known?.query === query && known.revision === this._revision) {
      return known.lines;
    }
    const wanted = query.toLowerCase();
    const lines = this._lines.filter(line =>
      line.toLowerCase().includes(wanted)
    );
    this._found = { query, lines, revision: this._revision };
    return lines;
  }

  /**
   * How many lines were dropped at the start.
   */
  get dropped(): number {
    return this._dropped;
  }

  /**
   * Whether nothing more will come.
   */
  get isComplete(): boolean {
    return this._isComplete;
  }

  /**
   * Whether the first answer has come.
   */
  get isLoaded(): boolean {
    return this._isLoaded;
  }

  /**
   * Why reading failed.
   */
  get error(): PlatformError | null {
    return this._error;
  }

  /**
   * Read on after an error.
   */
  retry(): void {
    this._error = null;
    this.stateChanged.emit();
    void this._start();
  }

  /**
   * End it.
   */
  override dispose(): void {
    this._follower?.dispose();
    cancelAnimationFrame(this._frame);
    super.dispose();
  }

  /**
   * Read page by page what is there, then follow.
   */
  private async _start(): Promise<void> {
    try {
      for (;;) {
        const page = await this._options.read(this._offset);
        if (this.isDisposed) {
          return;
        }
        this._take({ ...page, source: this._options.source });
        this._isLoaded = true;
        if (page.complete) {
          return;
        }
        // A short page is the end so far; a log that grows fast has no empty one.
        if (page.next_offset - page.offset < SHORT) {
          break;
        }
      }
      this._follow();
    } catch (error) {
      this._fail(PlatformError.from(error));
    }
  }

  /**
   * What has been read stays; the stream goes on by itself when the platform is back.
   */
  private _fail(error: PlatformError): void {
    if (this.isDisposed) {
      return;
    }
    if (this._isLoaded && error.isPassing) {
      this._follow();
    } else {
      this._error = error;
      this.stateChanged.emit();
    }
  }

  private _follow(): void {
    this._follower?.dispose();
    this._follower = this._options.stream.followLog(
      this._options.source,
      this._offset,
      part => this._take(part)
    );
  }

  private _take(part: ILogPart): void {
    const text = this._unread(part);
    this._offset = Math.max(this._offset, part.next_offset);
    this._append(text);
    if (part.complete && !this._isComplete) {
      this._isComplete = true;
      this._follower?.dispose();
      this._follower = null;
    }
    this._announce();
  }

  /**
   * The text behind the offset that was read already; offsets count bytes.
   */
  private _unread(part: ILogPart): string {
    if (part.offset >= this._offset) {
      return part.text;
    }
    if (part.next_offset <= this._offset) {
      return '';
    }
    const bytes = new TextEncoder().encode(part.text);
    return new TextDecoder().decode(bytes.slice(this._offset - part.offset));
  }

  private _append(text: string): void {
    if (text === '') {
      return;
    }
    const pieces = (this._rest + text).split('\n');
    this._rest = pieces[pieces.length - 1];
    // The unfinished line is shown as well, and replaced when its rest comes.
    if (this._hasRest) {
      this._lines.pop();
    }
    for (let at = 0; at < pieces.length - 1; at++) {
      this._lines.push(Private.overwritten(pieces[at]));
    }
    this._hasRest = this._rest !== '';
    if (this._hasRest) {
      this._lines.push(Private.overwritten(this._rest));
    }
    if (this._lines.length > KEPT * 1.1) {
      const surplus = this._lines.length - KEPT;
      this._lines.splice(0, surplus);
      this._dropped += surplus;
    }
  }

  private _announce(): void {
    if (this._frame === 0 && !this.isDisposed) {
      this._frame = requestAnimationFrame(() => {
        this._frame = 0;
        this._revision++;
        this.stateChanged.emit();
      });
    }
  }

  private readonly _options: LogModel.IOptions;
  private readonly _lines: string[] = [];
  private _dropped = 0;
  private _error: PlatformError | null = null;
  private _follower: IDisposable | null = null;
  private _found: Private.IFound | null = null;
  private _frame = 0;
  private _hasRest = false;
  private _isComplete = false;
  private _isLoaded = false;
  private _offset = 0;
  private _rest = '';
  private _revision = 0;
}

/**
 * The namespace of `LogModel` statics.
 */
export namespace LogModel {
  export interface IOptions {
    /**
     * What the stream calls it, e.g. `tasks:42`.
     */
    source: string;

    stream: EventStream;

    /**
     * Read a part from a byte offset on.
     */
    read: (offset: number) => Promise<LogPage>;
  }
}

/**
 * A namespace for private helpers.
 */
namespace Private {
  export interface IFound {
    query: string;
    revision: number;
    lines: ReadonlyArray<string>;
  }

  /**
   * What a terminal would show of a line: a carriage return starts it over, and colours
   * and other control sequences say nothing here.
   */
  export function overwritten(line: string): string {
    const plain = line.includes('\u001b') ? line.replace(CONTROL, '') : line;
    const shown = plain.endsWith('\r') ? plain.slice(0, -1) : plain;
    const at = shown.lastIndexOf('\r');
    return at < 0 ? shown : shown.slice(at + 1);
  }

  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  const CONTROL = /\u001b\[[0-9;?]*[ -/]*[@-~]/g;
}
