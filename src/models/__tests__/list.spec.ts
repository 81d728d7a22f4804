import { ServerConnection } from '@jupyterlab/services';
import type { Signal } from '@lumino/signaling';

import type { IListQuery, IPage } from '../../api/common';
import type { Event as PlatformEvent } from '../../api/types';
import { PlatformError } from '../../request';
import { EventStream } from '../../stream/stream';
import type { IItem } from '../list';
import { ResourceList } from '../list';

/**
 * A stream that says what the test wants, and connects to nothing.
 */
class SpokenStream extends EventStream {
  constructor() {
    super({
      serverSettings: ServerConnection.makeSettings({
        fetch: () => new Promise(() => undefined)
      })
    });
  }

  say(kind: string, id: number, resource = 'tasks'): void {
    (this.received as unknown as Signal<EventStream, PlatformEvent>).emit({
      id: 1,
      time: '2026-01-01T00:00:00Z',
      resource,
      resource_id: id,
      kind,
      level: 'normal',
      message: '',
      data: {}
    });
  }
}

interface ITask extends IItem {
  state: string;
}

describe('ResourceList', () => {
  let stored: ITask[];
  let queries: IListQuery[];
  let reads: number[];
  let failure: PlatformError | null;
  let stream: SpokenStream;
  let list: ResourceList<ITask>;

  beforeEach(() => {
    stored = [
      { id: 2, name: 'b', state: 'running' },
      { id: 1, name: 'a', state: 'succeeded' }
    ];
    queries = [];
    reads = [];
    failure = null;
    stream = new SpokenStream();
    list = new ResourceList<ITask>({
      resource: 'tasks',
      stream,
      settleAfter: 5,
      pageSize: 2,
      list: async (query): Promise<IPage<ITask>> => {
        queries.push(query);
        if (failure) {
          throw failure;
        }
        const start = query.cursor ? Number(query.cursor) : 0;
        const end = start + (query.limit ?? 2);
        return {
          items: stored
            .filter(item => item.name.includes(query.search ?? ''))
            .slice(start, end)
            .map(item => ({ ...item })),
          next: end < stored.length ? String(end) : null
        };
      },
      get: async id => {
        reads.push(id);
        const found = stored.find(item => item.id === id);
        if (!found) {
          throw new PlatformError({ message: '', code: 'nf', status: 404 });
        }
        return { ...found };
      }
    });
  });

  afterEach(() => {
    list.dispose();
    stream.dispose();
  });

  async function changed(): Promise<void> {
    await new Promise<void>(resolve => {
      const slot = (): void => {
        list.stateChanged.disconnect(slot);
        resolve();
      };
      list.stateChanged.connect(slot);
    });
  }

  it('reads nothing until somebody looks', async () => {
    stream.say('created', 3);
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(queries).toEqual([]);
    list.activate();
    await changed();
    expect(list.items.map(item => item.id)).toEqual([2, 1]);
  });

  it('reads one item again when an event names it, and keeps the others', async () => {
    list.activate();
    await changed();
    const untouched = list.items[1];
    stored[0].state = 'failed';
    stream.say('updated', 2);
    stream.say('updated', 2);
    await changed();
    expect(list.items[0].state).toBe('failed');
    expect(list.items[1]).toBe(untouched);
    expect(reads).toEqual([2]);
  });

  it('puts new items first and takes deleted ones out', async () => {
    list.activate();
    await changed();
    stored.unshift({ id: 3, name: 'c', state: 'queued' });
    stream.say('created', 3);
    await changed();
    expect(list.items.map(item => item.id)).toEqual([3, 2, 1]);
    stream.say('deleted', 1);
    expect(list.items.map(item => item.id)).toEqual([3, 2]);
  });

  it('does not mind other resources', async () => {
    list.activate();
    await changed();
    stream.say('deleted', 1, 'models');
    expect(list.items).toHaveLength(2);
  });

  it('takes out what is gone when it is read', async () => {
    list.activate();
    await changed();
    stored.pop();
    stream.say('updated', 1);
    await changed();
    expect(list.items.map(item => item.id)).toEqual([2]);
  });

  it('reads the whole list once when much changes at once', async () => {
    list.activate();
    await changed();
    for (let id = 10; id < 20; id++) {
      stream.say('updated', id);
    }
    await changed();
    expect(queries).toHaveLength(2);
    expect(reads).toEqual([]);
  });

  it('keeps what it has when reading fails, and says so', async () => {
    list.activate();
    await changed();
    failure = new PlatformError({ message: 'gone', code: 'x', status: 0 });
    await list.refresh();
    expect(list.items).toHaveLength(2);
    expect(list.error?.message).toBe('gone');
    failure = null;
    await list.refresh();
    expect(list.error).toBeNull();
  });

  it('searches on the platform', async () => {
    list.activate();
    await changed();
    list.search = 'b';
    await changed();
    await new Promise(resolve => setTimeout(resolve, 5));
    expect(list.items.map(item => item.name)).toEqual(['b']);
  });

  it('reads further pages behind what is shown', async () => {
    stored.push({ id: 0, name: 'z', state: 'stopped' });
    list.activate();
    await changed();
    expect(list.hasMore).toBe(true);
    await list.more();
    expect(list.items.map(item => item.id)).toEqual([2, 1, 0]);
    expect(list.hasMore).toBe(false);
  });

  it('stops reading when nobody looks any more', async () => {
    const activity = list.activate();
    await changed();
    activity.dispose();
    stream.say('updated', 1);
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(reads).toEqual([]);
  });
});
