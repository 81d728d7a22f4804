import { act, fireEvent, render, screen, within } from '@testing-library/react';
import * as React from 'react';

import type { RevisionView, ServiceDetail } from '../../../api/types';
import type { ITestContext } from '../../../components/__tests__/context';
import { Within, makeContext } from '../../../components/__tests__/context';
import { ResourceDetail } from '../../../models/detail';
import { Revisions } from '../revisions';

function revision(
  role: RevisionView['role'],
  facts: Partial<RevisionView>
): RevisionView {
  return {
    number: 1,
    role,
    state: 'running',
    weight: 0,
    replicas: 2,
    ready: 2,
    model: 'digits:1',
    algorithm: null,
    code_name: 'digits',
    resources: { cpu: 1, memory: 512, gpu: 0, shm: 64 },
    pool: '',
    parameters: {},
    environment: {},
    instances: [],
    is_promoted_when_ready: false,
    message: null,
    remedy: null,
    ...facts
  };
}

const CURRENT = revision('current', { weight: 90 });
const CANDIDATE = revision('candidate', { number: 2, weight: 10 });
const PREVIOUS = revision('previous', {
  number: 1,
  state: 'stopped',
  ready: 0
});
const EMPTY = { items: [], next: null };

describe('the revisions of a service', () => {
  let test: ITestContext;
  let model: ResourceDetail<ServiceDetail>;

  function show(revisions: RevisionView[], state = 'running'): void {
    const service = {
      id: 1,
      name: 'digits',
      state,
      model: 'digits:1',
      code_name: 'digits',
      revisions
    } as unknown as ServiceDetail;
    test = makeContext({
      'api/services/1': service,
      'api/services/1/traffic': service,
      'api/services/1/promote': service,
      'api/services/1/rollback': service,
      'api/services/1/revisions': service,
      'api/services/1/revisions/candidate': {},
      'api/models': {
        items: [{ id: 1, name: 'digits', state: 'ready', version: 2 }],
        next: null
      },
      'api/algorithms': EMPTY
    });
    model = new ResourceDetail<ServiceDetail>({
      resource: 'services',
      id: 1,
      stream: test.context.client.stream,
      get: id => test.context.client.services.get(id)
    });
    render(
      <Within context={test.context}>
        <Revisions service={service} model={model} />
      </Within>
    );
  }

  function button(name: string): HTMLButtonElement {
    return screen.getByRole('button', { name });
  }

  async function click(name: string): Promise<void> {
    await act(async () => button(name).click());
  }

  afterEach(() => {
    model.dispose();
  });

  it('says who gets which share of the calls', () => {
    show([CURRENT, CANDIDATE]);
    const rows = within(screen.getByRole('table')).getAllByRole('row');
    const cells = rows.slice(1).map(row =>
      within(row)
        .getAllByRole('cell')
        .map(cell => cell.textContent)
        .slice(0, 5)
    );
    expect(cells).toEqual([
      ['1', 'Current', 'running', '90 %', '2 of 2 ready'],
      ['2', 'Candidate', 'running', '10 %', '2 of 2 ready']
    ]);
  });

  it('sets the share, and only one that is a percentage', async () => {
    show([CURRENT, CANDIDATE]);
    expect(button('Apply').disabled).toBe(true);
    const field = screen.getByRole('spinbutton', { name: 'Percent' });
    fireEvent.change(field, { target: { value: '101' } });
    expect(button('Apply').disabled).toBe(true);
    fireEvent.change(field, { target: { value: '25' } });
    await click('Apply');
    expect(test.requests).toContain('PUT api/services/1/traffic');
  });

  it('promotes what is ready, and drops what is not wanted', async () => {
    show([CURRENT, CANDIDATE]);
    await click('Promote');
    expect(test.requests).toContain('POST api/services/1/promote');
    await click('Drop');
    expect(test.requests).toContain(
      'DELETE api/services/1/revisions/candidate'
    );
  });

  it('says why a candidate failed, which cannot be promoted', () => {
    const message = 'It never listened.';
    show([CURRENT, { ...CANDIDATE, state: 'failed', ready: 0, message }]);
    expect(screen.getByText(message)).toBeTruthy();
    expect(button('Promote').disabled).toBe(true);
  });

  it('rolls back to what ran before', async () => {
    show([CURRENT, PREVIOUS]);
    await click('Roll back');
    expect(test.requests).toContain('POST api/services/1/rollback');
  });

  it('starts another one beside the current one', async () => {
    show([CURRENT]);
    await screen.findByRole('option', { name: 'digits (newest)' });
    await click('Start it beside the current one');
    expect(test.requests).toContain('POST api/services/1/revisions');
  });

  it('starts none beside what is stopped', () => {
    show([CURRENT], 'stopped');
    expect(screen.queryByText('Another revision')).toBeNull();
  });
});
