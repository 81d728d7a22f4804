import {
  cleanup,
  fireEvent,
  render,
  screen,
  waitFor
} from '@testing-library/react';
import * as React from 'react';

import { Within, makeContext } from '../../../components/__tests__/context';
import { ServiceForm } from '../service';
import { TaskForm } from '../task';

const CAPACITY = {
  cpu: { limit: 8, used: 0 },
  memory: { limit: 16384, used: 0 },
  gpu: { limit: 0, used: 0 },
  cores: 4,
  queued_tasks: 0,
  running_tasks: 0,
  storage_free_bytes: 1e9
};

/**
 * What a folder asks for: the defaults of its parameters, all of them whole numbers.
 */
function folder(parameters: Record<string, number>): object {
  const part = {
    cmd: 'python3 main.py',
    inputs: [],
    outputs: [],
    resources: { cpu: 1, memory: 1024, gpu: 0, shm: 64 }
  };
  return {
    functions: [
      { ...part, name: 'train' },
      { ...part, name: 'deploy' }
    ],
    warnings: [],
    left_out: [],
    parameter_defaults: parameters,
    parameter_schema: {
      type: 'object',
      properties: Object.fromEntries(
        Object.entries(parameters).map(([title, value]) => [
          title,
          { title, type: 'integer', default: value }
        ])
      )
    }
  };
}

/**
 * Open a form on the folder `first`; `second` has some of its parameters.
 */
async function open(
  Form: typeof TaskForm,
  capacity = CAPACITY
): Promise<object[]> {
  const sent: object[] = [];
  const { context } = makeContext({
    'api/capacity': capacity,
    'api/servers': { items: [], next: null },
    'api/algorithms': { items: [], next: null },
    'api/models': { items: [], next: null }
  });
  const { local } = context.client;
  const folders: Record<string, object> = {
    first: folder({ epochs: 30, size: 64 }),
    second: folder({ epochs: 5, seed: 7 })
  };
  jest
    .spyOn(local, 'folder')
    .mockImplementation(async path => folders[path] as never);
  for (const make of ['createTask', 'createService'] as const) {
    jest.spyOn(local, make).mockImplementation((async (body: object) => {
      sent.push(body);
      return { id: 1 };
    }) as never);
  }
  render(
    <Within context={context}>
      <Form start={{ path: 'first' }} onDone={() => undefined} />
    </Within>
  );
  await screen.findByLabelText('epochs', {}, { timeout: 20_000 });
  return sent;
}

const pool = (name: string, quota: object): object => ({
  title: name.toUpperCase(),
  name,
  description: `${name} machines`,
  dedicated: false,
  cpu: { limit: 8, used: 0 },
  memory: { limit: 16384, used: 0 },
  gpu: { limit: 2, used: 0 },
  quota
});
const POOLED = {
  ...CAPACITY,
  gpu: { limit: 4, used: 0 },
  pools: [pool('shared', { gpu: { limit: 1, used: 0 } }), pool('vision', {})]
};

function type(label: string, value: string): void {
  fireEvent.change(screen.getByLabelText(label), { target: { value } });
}

const field = (label: string): HTMLInputElement =>
  screen.getByLabelText<HTMLInputElement>(label);

function note(label: string): string | undefined {
  const id = field(label).getAttribute('aria-describedby') ?? '';
  return document.getElementById(id)?.textContent ?? undefined;
}

describe.each([
  ['a task', TaskForm, 'Submit'],
  ['a service', ServiceForm, 'Deploy']
])('the form of %s', (_, Form, label) => {
  jest.setTimeout(60_000);

  const button = (): HTMLButtonElement =>
    screen.getByRole('button', { name: label });

  it('tells at the field what is more than there is, and is not sent', async () => {
    const sent = await open(Form);
    type('Name', 'mine');
    expect(button().disabled).toBe(false);
    type('Memory, MiB', '32768');
    await waitFor(() =>
      expect(note('Memory, MiB')).toBe(
        'The machine has 16 GiB in all; choose less.'
      )
    );
    type('CPU cores', '9');
    expect(note('CPU cores')).toBe('The machine has 8 in all; choose less.');
    expect(button().disabled).toBe(true);
    fireEvent.submit(document.querySelector('form')!);
    expect(sent).toEqual([]);
    type('CPU cores', '8');
    type('Memory, MiB', '');
    expect(button().disabled).toBe(false);
  });

  it('tells what is no amount', async () => {
    await open(Form);
    type('Name', 'mine');
    type('CPU cores', '0');
    expect(note('CPU cores')).toBe('Write at least 0.1.');
    type('Memory, MiB', '100.5');
    expect(note('Memory, MiB')).toBe('Write a whole number.');
    expect(button().disabled).toBe(true);
  });

  it('does not take the default of a parameter that was emptied', async () => {
    await open(Form);
    type('Name', 'mine');
    type('epochs', '');
    expect(field('epochs').value).toBe('');
    await waitFor(() => expect(button().disabled).toBe(true));
    expect(
      screen.getByText('A parameter is not as it should be.')
    ).toBeTruthy();
  });

  it('keeps what was typed, of names that another folder has too', async () => {
    const sent = await open(Form);
    type('Name', 'mine');
    type('epochs', '3');
    type('size', '32');
    type('CPU cores', '2');
    type('Folder', 'second');
    await screen.findByLabelText('seed', {}, { timeout: 20_000 });
    expect(field('epochs').value).toBe('3');
    expect(field('seed').value).toBe('7');
    expect(screen.queryByLabelText('size')).toBeNull();
    expect(field('CPU cores').value).toBe('2');
    fireEvent.click(button());
    await waitFor(() => expect(sent).toHaveLength(1));
    expect(sent[0]).toMatchObject({
      name: 'mine',
      path: 'second',
      parameters: { epochs: 3 },
      resources: { cpu: 2 }
    });
    type('Folder', 'first');
    await screen.findByLabelText('size', {}, { timeout: 20_000 });
    expect(field('size').value).toBe('32');
  });
});

describe('the form of a service', () => {
  it('counts all its replicas', async () => {
    await open(ServiceForm);
    type('Name', 'mine');
    type('Memory, MiB', '8192');
    type('Replicas', '4');
    await waitFor(() =>
      expect(note('Memory, MiB')).toBe(
        'The machine has 4 GiB for each of 4; choose less.'
      )
    );
  });

  it('says that it would be refused where a task would wait', async () => {
    await open(ServiceForm, { ...CAPACITY, cpu: { limit: 8, used: 7.5 } });
    expect(
      await screen.findByText(/no room for it now, and services do not wait/)
    ).toBeTruthy();
  });

  it('lets the number of replicas be typed anew', async () => {
    await open(ServiceForm);
    type('Name', 'mine');
    type('Replicas', '');
    expect(field('Replicas').value).toBe('');
    expect(note('Replicas')).toBe('Write a number.');
    type('Replicas', '65');
    expect(note('Replicas')).toBe('Write at most 64.');
  });
});

it('lets a pool be chosen, and refuses at the field what it cannot give', async () => {
  const sent = await open(TaskForm, POOLED);
  const chosen = screen.getByLabelText<HTMLSelectElement>('Resource pool');
  await waitFor(() => expect(chosen.value).toBe('shared'));
  type('GPUs', '2');
  expect(screen.getAllByText(/This pool has 1 for you/)).toHaveLength(2);
  fireEvent.change(chosen, { target: { value: 'vision' } });
  await waitFor(() => expect(screen.queryByText(/This pool has/)).toBeNull());
  expect(screen.getByText('vision machines')).toBeTruthy();
  expect(screen.getByText(/--pool vision/)).toBeTruthy();
  fireEvent.click(screen.getByText('Submit'));
  await waitFor(() => expect(sent).toHaveLength(1));
  expect(sent[0]).toMatchObject({ pool: 'vision', resources: { gpu: 2 } });
});

it('does not send a pool that was chosen earlier and is gone', async () => {
  const sent = await open(TaskForm, POOLED);
  const chosen = screen.getByLabelText<HTMLSelectElement>('Resource pool');
  fireEvent.change(chosen, { target: { value: 'vision' } });
  fireEvent.click(screen.getByText('Submit'));
  await waitFor(() => expect(sent).toHaveLength(1));
  cleanup();
  const again = await open(TaskForm, CAPACITY as typeof POOLED);
  fireEvent.click(screen.getByText('Submit'));
  await waitFor(() => expect(again).toHaveLength(1));
  expect(again[0]).not.toHaveProperty('pool');
});

it('shows a service with its pool and limits as a command', async () => {
  await open(ServiceForm as typeof TaskForm, POOLED);
  fireEvent.change(screen.getByLabelText('Resource pool'), {
    target: { value: 'vision' }
  });
  type('CPU cores', '2');
  await waitFor(() =>
    expect(screen.getByText(/--pool vision[^]*--cpu 2/)).toBeTruthy()
  );
});
