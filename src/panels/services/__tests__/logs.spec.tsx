import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import * as React from 'react';

import type { ServiceDetail } from '../../../api/types';
import { Within, makeContext } from '../../../components/__tests__/context';
import { Logs } from '../logs';

const INSTANCE = { index: 0, state: 'ready', restarts: 0 };
const SERVICE = { id: 7, name: 'digits', instances: [INSTANCE], revisions: [] };
const CANDIDATE = {
  role: 'candidate',
  number: 3,
  instances: [INSTANCE, { ...INSTANCE, index: 1 }]
};
const PAGE = { text: '', offset: 0, next_offset: 0, complete: false };

function show(service: unknown): { followed: string[] } {
  const { context } = makeContext({ 'api/services/7/log': PAGE });
  const followed: string[] = [];
  const { stream } = context.client;
  jest.spyOn(stream, 'followLog').mockImplementation(source => {
    followed.push(source);
    return { dispose: () => undefined, isDisposed: false };
  });
  render(
    <Within context={context}>
      <Logs service={service as ServiceDetail} />
    </Within>
  );
  return { followed };
}

describe('the logs of a service', () => {
  it('are one where there is one replica', async () => {
    const { followed } = show(SERVICE);
    expect(screen.queryByRole('combobox')).toBeNull();
    await waitFor(() => expect(followed).toEqual(['services:7:0']));
  });

  it('are those of what is tried beside it, too', async () => {
    const { followed } = show({ ...SERVICE, revisions: [CANDIDATE] });
    const choice = screen.getByLabelText('Replica');
    expect(
      screen.getAllByRole('option').map(option => option.textContent)
    ).toEqual(['0', '0 of revision 3', '1 of revision 3']);
    fireEvent.change(choice, { target: { value: 'candidate 1' } });
    await waitFor(() => expect(followed).toContain('candidates:7:1'));
  });
});
