import { fireEvent, waitFor } from '@testing-library/react';

import { nullTranslator } from '@jupyterlab/translation';

import { confirmDelete, confirmStop } from '../dialogs';

const trans = nullTranslator.load('kpl_lab');

function button(): HTMLButtonElement {
  return document.querySelector('.jp-Dialog .jp-mod-warn') as HTMLButtonElement;
}

async function field(): Promise<HTMLInputElement> {
  await waitFor(() =>
    expect(document.querySelector('.jp-Dialog input')).not.toBeNull()
  );
  return document.querySelector('.jp-Dialog input') as HTMLInputElement;
}

describe('the question before something is deleted', () => {
  afterEach(() => {
    document.querySelectorAll('.jp-Dialog').forEach(node => node.remove());
  });

  it('can be answered with yes only when the name is typed', async () => {
    const options = { trans, kind: 'models' as const, name: 'digits' };
    const answer = confirmDelete(options);
    const input = await field();
    expect(button().disabled).toBe(true);
    fireEvent.change(input, { target: { value: 'digit' } });
    expect(button().disabled).toBe(true);
    fireEvent.keyDown(input, { key: 'Enter', keyCode: 13 });
    expect(button().isConnected).toBe(true);
    fireEvent.change(input, { target: { value: ' digits ' } });
    expect(button().disabled).toBe(false);
    fireEvent.click(button());
    await expect(answer).resolves.toBe(true);
  });

  it('is taken back without a word', async () => {
    const answer = confirmDelete({ trans, kind: 'models', name: 'digits' });
    await field();
    fireEvent.click(
      document.querySelector('.jp-Dialog .jp-mod-reject') as HTMLElement
    );
    await expect(answer).resolves.toBe(false);
  });
});

describe('the question before something is stopped', () => {
  afterEach(() => {
    document.querySelectorAll('.jp-Dialog').forEach(node => node.remove());
  });

  async function words(): Promise<string> {
    await waitFor(() =>
      expect(document.querySelector('.jp-Dialog')).not.toBeNull()
    );
    return document.querySelector('.jp-Dialog')?.textContent ?? '';
  }

  const press = (kind: string): boolean =>
    fireEvent.click(
      document.querySelector(`.jp-Dialog .jp-mod-${kind}`) as HTMLElement
    );

  it('says of a running task what is lost, and what stays', async () => {
    const task = { name: 'train', state: 'running' };
    const answer = confirmStop(trans, 'tasks', task);
    expect(await words()).toMatch(
      /Stop “train”.*cannot go on.*kept as files.*log and/
    );
    press('warn');
    await expect(answer).resolves.toBe(true);
  });

  it('says of a service that calls will fail', async () => {
    const service = { name: 'digits', state: 'running', ready: 2 };
    const answer = confirmStop(trans, 'services', service);
    expect(await words()).toMatch(/2 replicas that answer. Calls will fail/);
    press('reject');
    await expect(answer).resolves.toBe(false);
  });

  it.each([
    ['tasks', { name: 'a', state: 'queued' }],
    ['tasks', { name: 'a', state: 'preparing' }],
    ['services', { name: 'a', state: 'deploying', ready: 0 }]
  ] as const)('is not asked where nothing is lost: %s %p', async (kind, it) => {
    await expect(confirmStop(trans, kind, it)).resolves.toBe(true);
    expect(document.querySelector('.jp-Dialog')).toBeNull();
  });
});
