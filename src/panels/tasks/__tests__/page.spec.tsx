import { render, screen } from '@testing-library/react';
import * as React from 'react';

import type { TaskDetail } from '../../../api/types';
import { Within, makeContext } from '../../../components/__tests__/context';
import { ResourceDetail } from '../../../models/detail';
import { TaskOverview } from '../overview';
import { TaskPage } from '../page';

const task = {
  id: 7,
  name: 'digits',
  state: 'preparing',
  owner: 'ann',
  workspace: 'default',
  visibility: 'private',
  reason: null,
  message: 'It waits in the queue of the cluster.',
  remedy: null,
  progress: null,
  seconds_left: null,
  queue: null,
  nodes: 1,
  processes: 1,
  inputs: [],
  outputs: [],
  parameters: {},
  files: [],
  environment: {},
  resources: { cpu: 1, memory: 512, gpu: 0, shm: 64 },
  created_at: '2026-11-21T10:00:00Z',
  updated_at: '2026-11-21T10:00:00Z',
  started_at: null,
  finished_at: null
};

const saved = { key: 'save', kind: 'model', message: null, bytes: null };

it.each([
  ['ended without a run', 'stopped', null, [saved], 'None: it never ran.'],
  ['began unseen and did well', 'succeeded', null, [], 'None.'],
  ['runs', 'running', '2026-11-21T10:00:01Z', [], 'None so far.'],
  ['ran', 'failed', '2026-11-21T10:00:01Z', [], 'None.']
])('of a task that %s says why it has no outputs', async (...facts) => {
  const [, state, started_at, outputs, words] = facts;
  const shown = {
    ...task,
    state,
    started_at,
    outputs,
    save_as: [],
    inputs: [{ key: 'data', kind: 'dataset', name: 'digits', version: 1 }]
  } as unknown as TaskDetail;
  const { context } = makeContext({});
  render(
    <Within context={context}>
      <TaskOverview task={shown} revision={0} />
    </Within>
  );
  expect(await screen.findByText(words)).toBeTruthy();
  expect(screen.queryByText('save')).toBeNull();
});

it.each([
  ['is to run', 'preparing'],
  ['is to run again', 'running']
])('shows what a task waits for where it %s', async (_, state) => {
  const test = makeContext({ 'api/tasks/7': { ...task, state } });
  const model = new ResourceDetail<TaskDetail>({
    resource: 'tasks',
    id: 7,
    stream: test.context.client.stream,
    get: id => test.context.client.tasks.get(id)
  });
  render(
    <Within context={test.context}>
      <TaskPage model={model} tab="code" onTab={() => undefined} />
    </Within>
  );
  expect(
    await screen.findByText('It waits in the queue of the cluster.')
  ).toBeTruthy();
  model.dispose();
});
