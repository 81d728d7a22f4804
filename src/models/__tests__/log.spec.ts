import { ServerConnection } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';

import type { LogPage } from '../../api/types';
import { PlatformError } from '../../request';
import { EventStream } from '../../stream/stream';
import type { ILogPart } from '../../stream/stream';
import { LogModel } from '../log';

/**
 * A stream whose log parts the test makes up.
 */
class SpokenStream extends EventStream {
  constructor() {
    super({
      serverSettings: ServerConnection.makeSettings({
        fetch: () => new Promise(() => undefined)
      })
    });
  }

  override followLog(
    source: string,
    offset: number,
    onPart: (part: ILogPart) => void
  ): IDisposable {
    this.from = offset;
    this.part = onPart;
    return super.followLog(source, offset, onPart);
  }

  from: number | null = null;
  part: ((part: ILogPart) => void) | null = null;
}

function sized(text: string, offset: number, complete = false): ILogPart {
  const length = new TextEncoder().encode(text).length;
  return {
    source: 'tasks:1',
    text,
    offset,
    next_offset: offset + length,
    complete
  };
}

describe('LogModel', () => {
  let stream: SpokenStream;
  let model: LogModel;

  beforeEach(() => {
    stream = new SpokenStream();
  });

  afterEach(() => {
    model.dispose();
    stream.dispose();
  });

  async function open(...pages: (ILogPart | PlatformError)[]): Promise<void> {
    stream.from = null;
    const left = [...pages];
    model = new LogModel({
      source: 'tasks:1',
      stream,
      read: async (offset): Promise<LogPage> => {
        const page = left.shift() ?? sized('', offset);
        if (page instanceof PlatformError) {
          throw page;
        }
        return page;
      }
    });
    while (!model.isComplete && stream.from === null) {
      await new Promise(resolve => setTimeout(resolve, 1));
    }
  }

  it('reads page after page, then follows from there', async () => {
    const first = 'a line of a long log\n'.repeat(4000);
    await open(sized(first, 0), sized('the last\n', first.length));
    expect(model.lines).toHaveLength(4001);
    expect(stream.from).toBe(first.length + 9);
  });

  it('goes on following when the platform goes away while it reads', async () => {
    const first = 'a line of a long log\n'.repeat(4000);
    const away = new PlatformError({ message: '', code: 'x', status: 503 });
    await open(sized(first, 0), away);
    expect(model.error).toBeNull();
    expect(stream.from).toBe(first.length);
  });

  it('follows nothing that has ended', async () => {
    await open(sized('done\n', 0, true));
    expect(model.isComplete).toBe(true);
    expect(stream.from).toBeNull();
  });

  it('joins lines that were cut, and shows the unfinished one', async () => {
    await open(sized('par', 0));
    expect(model.lines).toEqual(['par']);
    stream.part?.(sized('tial\nne', 3));
    expect(model.lines).toEqual(['partial', 'ne']);
    stream.part?.(sized('xt\n', 10));
    expect(model.lines).toEqual(['partial', 'next']);
  });

  it('takes nothing twice; offsets count bytes, not letters', async () => {
    await open(sized('水\n', 0));
    stream.part?.(sized('水\n', 0));
    stream.part?.(sized('水\n果\n', 0));
    expect(model.lines).toEqual(['水', '果']);
  });

  it('shows what a terminal would show of progress bars and colours', async () => {
    await open(sized('10%\r50%\r100%\n\u001b[31mred\u001b[0m\nwindows\r\n', 0));
    expect(model.lines).toEqual(['100%', 'red', 'windows']);
  });

  it('finds lines whatever their case', async () => {
    await open(sized('Loss 1\naccuracy\nloss 2\n', 0));
    expect(model.matching('LOSS')).toEqual(['Loss 1', 'loss 2']);
    expect(model.matching('')).toBe(model.lines);
  });

  it('keeps the newest lines of a very long log and counts the others', async () => {
    const many = Array.from({ length: 230_000 }, (_, line) => `${line}`);
    await open(sized(many.join('\n') + '\n', 0));
    expect(model.lines).toHaveLength(200_000);
    expect(model.dropped).toBe(30_000);
    expect(model.lines[model.lines.length - 1]).toBe('229999');
  });

  it('loses no line of a million that come in pieces', async () => {
    await open(sized('', 0));
    const chunk = 'a line that a task prints in a loop\n'.repeat(10_000);
    let offset = 0;
    for (let part = 0; part < 100; part++) {
      stream.part?.({
        source: 'tasks:1',
        text: chunk,
        offset,
        next_offset: offset + chunk.length,
        complete: false
      });
      offset += chunk.length;
    }
    expect(model.lines.length + model.dropped).toBe(1_000_000);
  });
});
