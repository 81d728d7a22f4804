import { render, screen } from '@testing-library/react';
import * as React from 'react';

import type { ServerStart } from '../../../api/types';
import { makeContext } from '../../../components/__tests__/context';
import { KplContext } from '../../../context';
import { History } from '../page';

const START = {
  id: 3,
  name: '',
  user: 'ada',
  image: 'base',
  state: 'failed',
  created_at: '2026-01-01T12:00:00Z',
  resources: { cpu: 1, memory: 512, gpu: 0, shm: 64 },
  pool: '',
  reason: 'out_of_memory',
  message: 'It needed more memory.',
  events: [
    {
      id: 1,
      time: '2026-01-01T12:00:00Z',
      resource: 'servers',
      resource_id: 3,
      kind: 'starting',
      level: 'normal',
      message: 'There is room; the server is starting.',
      data: { event: 'Scheduled', rank: 'info' }
    },
    {
      id: 2,
      time: '2026-01-01T12:00:05Z',
      resource: 'servers',
      resource_id: 3,
      kind: 'state',
      level: 'error',
      message: 'It needed more memory than its limit: used 513 of 512 MiB.',
      data: { event: 'OutOfMemory', rank: 'urgent' }
    }
  ]
} as ServerStart;

function show(items: ServerStart[]): void {
  const { context } = makeContext({});
  render(
    <KplContext.Provider value={context}>
      <History read={async () => ({ items, next: null })} />
    </KplContext.Provider>
  );
}

describe('the events of this server', () => {
  it('stand there with name, level and words', async () => {
    show([START]);
    expect(await screen.findByText('OutOfMemory')).toBeTruthy();
    expect(screen.getByText('Scheduled')).toBeTruthy();
    expect(screen.getByText('error')).toBeTruthy();
    expect(screen.getByText(/used 513 of 512 MiB/)).toBeTruthy();
  });

  it('show text of the platform as text', async () => {
    const message = '<img src=x onerror=alert(1)>';
    show([{ ...START, events: [{ ...START.events[1], message }] }]);
    expect(await screen.findByText(message)).toBeTruthy();
    expect(document.querySelector('img')).toBeNull();
  });

  it('are said to be missing where there are none', async () => {
    show([]);
    expect(await screen.findByText(/no starts of this server/)).toBeTruthy();
  });
});
