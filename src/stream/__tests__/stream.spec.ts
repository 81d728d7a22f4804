import { ServerConnection } from '@jupyterlab/services';

import type { ILogPart } from '../stream';
import { EventStream } from '../stream';

/**
 * A platform whose stream the test speaks through, one connection after the other.
 */
class Platform {
  readonly urls: string[] = [];
  status = 200;
  refusal = '{"code": "not_found", "message": "There is no such task."}';

  readonly settings = ServerConnection.makeSettings({
    baseUrl: 'http://here/',
    fetch: async (info: RequestInfo | URL) => {
      const asked = info as Request;
      // JupyterLab adds the time to every address, against caches.
      const url = asked.url.replace(/[?&]\d+$/, '');
      this.urls.push(url.replace('http://here/kpl-lab/api/events', ''));
      if (this.status !== 200) {
        return new Response(this.refusal, { status: this.status });
      }
      const connection = new Connection(asked.signal);
      this._connection = connection;
      return connection.response;
    }
  });

  say(text: string): void {
    this._connection?.push(text);
  }

  event(id: number, resource = 'tasks'): void {
    this.say(
      `id: ${id}\nevent: event\ndata: ${JSON.stringify({ id, resource, resource_id: 1, kind: 'updated' })}\n\n`
    );
  }

  cut(): void {
    this._connection?.end();
  }

  private _connection: Connection | null = null;
}

/**
 * One open answer; jsdom has no streams, so its reader is made by hand.
 */
class Connection {
  constructor(signal: AbortSignal | undefined) {
    signal?.addEventListener('abort', () => this.end());
  }

  readonly response = {
    ok: true,
    headers: new Headers(),
    body: { getReader: () => ({ read: () => this._read() }) }
  } as unknown as Response;

  push(text: string): void {
    this._chunks.push(new TextEncoder().encode(text));
    this._wake();
  }

  end(): void {
    this._hasEnded = true;
    this._wake();
  }

  private async _read(): Promise<{ done: boolean; value?: Uint8Array }> {
    while (this._chunks.length === 0 && !this._hasEnded) {
      await new Promise<void>(resolve => (this._wake = resolve));
    }
    const value = this._chunks.shift();
    return { done: value === undefined, value };
  }

  private readonly _chunks: Uint8Array[] = [];
  private _hasEnded = false;
  private _wake: () => void = () => undefined;
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 4000;
  while (!condition()) {
    if (Date.now() > end) {
      throw new Error('It did not happen in four seconds.');
    }
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

describe('EventStream', () => {
  let platform: Platform;
  let stream: EventStream;

  beforeEach(() => {
    platform = new Platform();
    stream = new EventStream({
      serverSettings: platform.settings,
      random: () => -1.4,
      stalledAfter: 2000
    });
  });

  afterEach(() => stream.dispose());

  it('asks for nothing before it is started, and once however often it is', async () => {
    expect(platform.urls).toEqual([]);
    stream.start();
    stream.start();
    await until(() => stream.state === 'open');
    expect(platform.urls).toEqual(['']);
  });

  it('hands events on', async () => {
    const seen: number[] = [];
    stream.received.connect((_, event) => seen.push(event.id), stream);
    stream.start();
    await until(() => stream.state === 'open');
    platform.event(3);
    platform.event(4);
    await until(() => seen.length === 2);
    expect(seen).toEqual([3, 4]);
  });

  it('goes on after a cut where it was', async () => {
    const seen: number[] = [];
    const states: string[] = [];
    stream.received.connect((_, event) => seen.push(event.id), stream);
    stream.stateChanged.connect((_, state) => states.push(state), stream);
    stream.start();
    await until(() => stream.state === 'open');
    platform.event(8);
    await until(() => seen.length === 1);
    platform.cut();
    await until(() => platform.urls.length === 2);
    expect(platform.urls[1]).toBe('?since=8');
    await until(() => stream.state === 'open');
    expect(states).toEqual(['open', 'reconnecting', 'open']);
  });

  it('asks for a resync only when it does not know what it missed', async () => {
    let resyncs = 0;
    stream.resync.connect(() => resyncs++, stream);
    stream.start();
    await until(() => stream.state === 'open');
    expect(resyncs).toBe(1);
    platform.say('id: 12\nevent: ready\ndata: {"since": 12}\n\n');
    await new Promise(resolve => setTimeout(resolve, 20));
    platform.cut();
    await until(() => platform.urls.length === 2);
    expect(platform.urls[1]).toBe('?since=12');
    await until(() => stream.state === 'open');
    expect(resyncs).toBe(1);
  });

  it('follows logs in the same connection, from where they were read to', async () => {
    const parts: ILogPart[] = [];
    stream.start();
    await until(() => stream.state === 'open');
    stream.followLog('tasks:42', 100, part => parts.push(part));
    stream.followLog('services:7:1', 5, () => undefined);
    await until(() => platform.urls.length === 2);
    expect(decodeURIComponent(platform.urls[1])).toBe(
      '?log=tasks:42:100&log=services:7:5:1'
    );
    platform.say(
      'event: log\ndata: {"source":"tasks:42","text":"hi\\n","offset":100,"next_offset":103,"complete":false}\n\n'
    );
    await until(() => parts.length === 1);
    platform.cut();
    await until(() => platform.urls.length === 3);
    expect(decodeURIComponent(platform.urls[2])).toContain('tasks:42:103');
  });

  it('gives up a log that is refused, not the events', async () => {
    stream.start();
    await until(() => stream.state === 'open');
    platform.status = 404;
    stream.followLog('tasks:9', 0, () => undefined);
    await until(() => stream.state === 'reconnecting');
    platform.status = 200;
    await until(() => stream.state === 'open');
    expect(platform.urls[platform.urls.length - 1]).toBe('');
  });

  it('keeps a log when the front door does not know the way yet', async () => {
    stream.start();
    await until(() => stream.state === 'open');
    platform.status = 404;
    platform.refusal = '404 page not found';
    stream.followLog('tasks:9', 0, () => undefined);
    await until(() => stream.state === 'reconnecting');
    platform.status = 200;
    await until(() => stream.state === 'open');
    expect(platform.urls[platform.urls.length - 1]).toContain('tasks%3A9');
  });

  it('takes a silent connection for a dead one', async () => {
    stream.dispose();
    stream = new EventStream({
      serverSettings: platform.settings,
      random: () => -1.4,
      stalledAfter: 60
    });
    stream.start();
    await until(() => platform.urls.length >= 2);
  });
});
