import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import * as React from 'react';

import { Within, makeContext } from '../../../components/__tests__/context';
import type { ITestContext } from '../../../components/__tests__/context';
import { EnvironmentForm } from '../environment';

const done: [string, number][] = [];

function show(answers: Record<string, unknown>): ITestContext {
  const test = makeContext({
    'api/me': { name: 'ann', admin: false, scopes: [], kind: 'user' },
    'api/builds': { id: 7, name: 'mine', state: 'queued' },
    ...answers
  });
  done.length = 0;
  render(
    <Within context={test.context}>
      <EnvironmentForm
        start={{}}
        onDone={(kind, id) => done.push([kind, id])}
      />
    </Within>
  );
  return test;
}

const button = (): HTMLButtonElement =>
  screen.getByRole('button', { name: 'Save' });

describe('the form that saves an environment', () => {
  it('shows what was installed, and makes an image of it', async () => {
    const { requests } = show({
      'local/environment': {
        server: 4,
        image: 'base',
        requirements: ['polars==1.2', 'six==1.17.0']
      }
    });
    expect(await screen.findByText('2 packages beyond base')).toBeTruthy();
    expect(screen.getByText('six==1.17.0')).toBeTruthy();
    expect(button().disabled).toBe(true);
    fireEvent.change(screen.getByLabelText('Name'), {
      target: { value: 'mine' }
    });
    expect(screen.getByText('kpl image save mine')).toBeTruthy();
    fireEvent.click(button());
    await waitFor(() => expect(done).toEqual([['builds', 7]]));
    expect(requests).toContain('POST api/builds');
  });

  it('says why there is nothing to save', async () => {
    show({});
    expect(await screen.findByText(/No such path/)).toBeTruthy();
    fireEvent.change(screen.getByLabelText('Name'), {
      target: { value: 'mine' }
    });
    expect(button().disabled).toBe(true);
    expect(
      screen.getByText('There is nothing that can be saved.')
    ).toBeTruthy();
  });
});
