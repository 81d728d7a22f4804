/**
 * One message of a server-sent event stream.
 */
export interface IMessage {
  /**
   * The type; `message` where none is given.
   */
  event: string;

  /**
   * The data lines, joined.
   */
  data: string;

  /**
   * The id, where one is given.
   */
  id: string | null;
}

/**
 * Reads `text/event-stream` as the HTML standard describes it, in chunks cut anywhere.
 *
 * Browsers' own `EventSource` cannot send the headers that the Jupyter server wants.
 */
export class EventParser {
  constructor(onMessage: (message: IMessage) => void) {
    this._onMessage = onMessage;
  }

  /**
   * Take the next piece of text; complete messages are handed on at once.
   */
  push(chunk: string): void {
    this._rest += chunk;
    // A carriage return at the end may be the first half of a line's end.
    const complete = this._rest.endsWith('\r')
      ? this._rest.length - 1
      : this._rest.length;
    let start = 0;
    for (let at = 0; at < complete; at++) {
      const char = this._rest[at];
      if (char !== '\n' && char !== '\r') {
        continue;
      }
      this._line(this._rest.slice(start, at));
      if (char === '\r' && this._rest[at + 1] === '\n') {
        at++;
      }
      start = at + 1;
    }
    this._rest = this._rest.slice(start);
  }

  private _line(line: string): void {
    if (line === '') {
      this._dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) {
      return;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') {
      this._event = value;
    } else if (field === 'data') {
      this._data.push(value);
    } else if (field === 'id') {
      this._id = value;
    }
  }

  private _dispatch(): void {
    if (this._data.length > 0) {
      this._onMessage({
        event: this._event || 'message',
        data: this._data.join('\n'),
        id: this._id
      });
    }
    this._event = '';
    this._data = [];
    this._id = null;
  }

  private readonly _onMessage: (message: IMessage) => void;
  private _rest = '';
  private _event = '';
  private _data: string[] = [];
  private _id: string | null = null;
}
