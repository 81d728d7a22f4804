import { fireEvent, waitFor } from '@testing-library/react';
import { CommandRegistry } from '@lumino/commands';

import { CommandIDs } from '../../commandids';
import { makeContext } from '../../components/__tests__/context';
import type { ICommandContext, ITarget } from '../commands';
import { addResourceCommands } from '../resourcecommands';

const TASK = { id: 4, name: 'train', state: 'running' };
const SERVICE = { id: 5, name: 'digits', state: 'running', ready: 1 };

/**
 * The commands over a platform that answers; the requests that they make.
 */
function setUp(answers: Record<string, unknown>) {
  const { context, requests } = makeContext(answers);
  const commands = new CommandRegistry();
  addResourceCommands({
    app: { commands },
    attempt: work => work(),
    client: context.client,
    trans: context.trans,
    target: args => args as unknown as ITarget,
    targetArgs: {}
  } as ICommandContext);
  return { commands, requests };
}

async function press(kind: 'warn' | 'reject'): Promise<void> {
  const find = (): Element | null =>
    document.querySelector(`.jp-Dialog .jp-mod-${kind}`);
  await waitFor(() => expect(find()).not.toBeNull());
  fireEvent.click(find()!);
}

describe('stopping', () => {
  it.each([
    [
      'a running task',
      CommandIDs.stopTask,
      { kind: 'tasks', id: 4, name: 'train' },
      'POST api/tasks/4/stop'
    ],
    [
      'a service that answers',
      CommandIDs.stopService,
      { kind: 'services', id: 5, name: 'digits' },
      'PATCH api/services/5'
    ]
  ])('%s waits for a yes', async (_, command, args, wanted) => {
    const { commands, requests } = setUp({
      'api/tasks/4': TASK,
      'api/tasks/4/stop': { ...TASK, state: 'stopping' },
      'api/services/5': SERVICE
    });
    const refused = commands.execute(command, args);
    await press('reject');
    await refused;
    expect(requests).not.toContain(wanted);
    const agreed = commands.execute(command, args);
    await press('warn');
    await agreed;
    expect(requests).toContain(wanted);
  });

  it('a task that waits for its turn needs none: nothing is lost', async () => {
    const { commands, requests } = setUp({
      'api/tasks/4': { ...TASK, state: 'queued' },
      'api/tasks/4/stop': { ...TASK, state: 'stopped' }
    });
    await commands.execute(CommandIDs.stopTask, { kind: 'tasks', id: 4 });
    expect(document.querySelector('.jp-Dialog')).toBeNull();
    expect(requests).toContain('POST api/tasks/4/stop');
  });
});
