import { fireEvent, waitFor } from '@testing-library/react';

import { nullTranslator } from '@jupyterlab/translation';

import { confirmDelete } from '../dialogs';

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
