import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import * as React from 'react';

import type { BuildView } from '../../../api/types';
import { Within, makeContext } from '../../../components/__tests__/context';
import { PlatformError } from '../../../request';
import { BuildForm } from '../build';

const VALUE = 'open sesame';

interface ISent {
  dockerfile?: { secrets?: Record<string, string> };
}

/**
 * The form of a folder with a Dockerfile; what it sends is answered as told.
 */
async function open(
  answer: () => Promise<BuildView> = () => new Promise(() => undefined)
): Promise<ISent[]> {
  const sent: ISent[] = [];
  const { context } = makeContext({ 'api/version': { engine: 'docker' } });
  const send = async (body: ISent): Promise<BuildView> => {
    sent.push(body);
    return answer();
  };
  jest
    .spyOn(context.client.local, 'createBuild')
    .mockImplementation(send as never);
  render(
    <Within context={context}>
      <BuildForm start={{ path: 'work/vision' }} onDone={() => undefined} />
    </Within>
  );
  // Only an engine with containers has a registry to send to.
  await screen.findByText('Send it to a registry too');
  return sent;
}

function add(id: string, value: string): void {
  fireEvent.click(screen.getByRole('button', { name: 'Add a secret' }));
  const ids = screen.getAllByLabelText('Secret id');
  const values = screen.getAllByLabelText('Value');
  fireEvent.change(ids[ids.length - 1], { target: { value: id } });
  fireEvent.change(values[values.length - 1], { target: { value } });
}

const values = (): string[] =>
  screen.getAllByLabelText<HTMLInputElement>('Value').map(one => one.value);
const button = (): HTMLButtonElement =>
  screen.getByRole('button', { name: 'Build' });

describe('secrets of a build', () => {
  it('are hidden while they are typed, and explained for the Dockerfile', async () => {
    await open();
    add('npm', VALUE);
    expect(screen.getByLabelText('Value').getAttribute('type')).toBe(
      'password'
    );
    expect(
      screen.getByText(
        'RUN --mount=type=secret,id=npm TOKEN="$(cat /run/secrets/npm)" ./install.sh'
      )
    ).toBeTruthy();
  });

  it('are sent, and stand in no command', async () => {
    const sent = await open();
    add('npm', VALUE);
    add('pip', 'another');
    const card = document.querySelector('.kpl-Form-card')!;
    expect(card.textContent).toContain('--secret id=npm,src=npm.txt');
    expect(document.body.textContent).not.toContain(VALUE);
    fireEvent.click(button());
    expect(sent[0].dockerfile?.secrets).toEqual({ npm: VALUE, pip: 'another' });
  });

  it('are held no longer once they are sent, even when they are refused', async () => {
    const refused = new PlatformError({
      code: 'build_running',
      message: 'You are building vision already.',
      status: 409
    });
    await open(() => Promise.reject(refused));
    add('npm', VALUE);
    fireEvent.click(button());
    expect(values()).toEqual(['']);
    expect(await screen.findByText(/building vision already/)).toBeTruthy();
    await waitFor(() =>
      expect(
        screen.getByText('Type the value of the secret “npm”.')
      ).toBeTruthy()
    );
    expect(button().disabled).toBe(true);
  });

  it('have ids of their own that a Dockerfile can name', async () => {
    await open();
    add('npm', VALUE);
    add('npm', 'another');
    expect(screen.getByRole('alert').textContent).toBe(
      'There is another secret “npm”.'
    );
    fireEvent.change(screen.getAllByLabelText('Secret id')[1], {
      target: { value: 'a,b' }
    });
    expect(screen.getByRole('alert').textContent).toMatch('letters, digits');
    expect(button().disabled).toBe(true);
  });

  it('are added and removed with the keyboard alone', async () => {
    await open();
    fireEvent.click(screen.getByRole('button', { name: 'Add a secret' }));
    expect(document.activeElement).toBe(screen.getByLabelText('Secret id'));
    fireEvent.click(screen.getByRole('button', { name: 'Remove' }));
    expect(screen.queryByLabelText('Secret id')).toBeNull();
    expect(document.activeElement).toBe(
      screen.getByRole('button', { name: 'Add a secret' })
    );
    expect(button().disabled).toBe(false);
  });
});
