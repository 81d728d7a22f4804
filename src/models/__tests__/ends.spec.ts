import { Signal } from '@lumino/signaling';

import type {
  BuildView,
  Event as PlatformEvent,
  ServiceView,
  TaskView
} from '../../api/types';
import type { EventStream } from '../../stream/stream';
import { Ends } from '../ends';

const MINE = 'ada';

function told(
  event: Partial<PlatformEvent>,
  item: Partial<BuildView> | Partial<TaskView> = {}
): Promise<string[]> {
  const stream = { received: new Signal<unknown, PlatformEvent>({}) };
  const found = { owner: MINE, reason: null, state: 'succeeded', ...item };
  const ends = new Ends({
    stream: stream as unknown as EventStream,
    user: async () => MINE,
    task: async id => ({ ...found, id }) as TaskView,
    build: async id => ({ ...found, id }) as unknown as BuildView,
    service: async id => ({ ...found, id }) as unknown as ServiceView
  });
  const names: string[] = [];
  ends.ended.connect((_, end) => names.push(`${end.kind}:${end.item.id}`));
  stream.received.emit({
    id: 1,
    kind: 'state',
    level: 'normal',
    message: '',
    resource: 'tasks',
    resource_id: 7,
    time: '2026-11-21T08:00:00Z',
    ...event
  } as PlatformEvent);
  return new Promise(resolve =>
    setTimeout(() => {
      ends.dispose();
      resolve(names);
    }, 0)
  );
}

describe('what came to an end', () => {
  it('is told of a task of mine that succeeded, and of one that failed', async () => {
    expect(await told({ data: { state: 'succeeded' } })).toEqual(['tasks:7']);
    const data = { state: 'failed' };
    expect(await told({ data }, { state: 'failed' })).toEqual(['tasks:7']);
  });

  it('is not told of what goes on', async () => {
    expect(await told({ data: { state: 'running' } })).toEqual([]);
    expect(await told({ kind: 'progress', data: {} })).toEqual([]);
  });

  it('is not told of what belongs to somebody else', async () => {
    const data = { state: 'succeeded' };
    expect(await told({ data }, { owner: 'bob' })).toEqual([]);
  });

  it('is not told of what I stopped by hand, but of what the platform stopped', async () => {
    const data = { state: 'stopped' };
    const state = 'stopped';
    expect(await told({ data }, { state, reason: 'stopped' })).toEqual([]);
    expect(await told({ data }, { state, reason: 'platform_down' })).toEqual([
      'tasks:7'
    ]);
  });

  it('is told of an image that was made or not, not of what code needs', async () => {
    const ended = { resource: 'builds', data: {} };
    const build = { for_catalog: true, state: 'failed' as const };
    expect(await told(ended, build)).toEqual(['builds:7']);
    expect(await told(ended, { ...build, for_catalog: false })).toEqual([]);
    expect(await told(ended, { ...build, state: 'running' })).toEqual([]);
    expect(await told(ended, { ...build, state: 'stopped' })).toEqual([]);
  });

  it('is told of a service that fails, not of one that runs', async () => {
    const resource = 'services';
    const failed = { resource, data: { state: 'failed' } };
    expect(await told(failed, { state: 'failed' })).toEqual(['services:7']);
    expect(await told({ resource, data: { state: 'running' } })).toEqual([]);
  });
});
