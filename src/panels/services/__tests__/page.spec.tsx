import { render, screen, within } from '@testing-library/react';
import * as React from 'react';

import type { ServiceDetail } from '../../../api/types';
import { Within, makeContext } from '../../../components/__tests__/context';
import { ResourceDetail } from '../../../models/detail';
import { ServicePage } from '../page';

const SERVICE = {
  id: 1,
  name: 'digits',
  state: 'running',
  owner: 'ann',
  created_at: '2026-01-01T00:00:00Z',
  url: '/svc/default/digits/',
  access: 'private',
  replicas: 3,
  ready: 1,
  resources: { cpu: 1, memory: 512, gpu: 0, shm: 64 },
  instances: [
    { index: 0, state: 'ready', restarts: 0, started_at: null, message: null },
    {
      index: 1,
      state: 'starting',
      restarts: 3,
      started_at: null,
      message: 'It ended with exit code 1.'
    },
    {
      index: 2,
      state: 'starting',
      restarts: 0,
      started_at: null,
      message:
        'The registry has no image registry.example/a:1; check its name and tag.'
    }
  ],
  interface: [],
  notices: ['The image “torch:9” is not here; base stands in for it.']
};

describe('the page of a service', () => {
  let model: ResourceDetail<ServiceDetail>;

  beforeEach(async () => {
    const { context } = makeContext({
      'api/services/1': SERVICE,
      'api/services/1/events': { items: [], next: null }
    });
    model = new ResourceDetail<ServiceDetail>({
      resource: 'services',
      id: 1,
      stream: context.client.stream,
      get: id => context.client.services.get(id)
    });
    render(
      <Within context={context}>
        <ServicePage model={model} tab="" onTab={() => undefined} />
      </Within>
    );
    await screen.findByRole('heading', { name: 'digits' });
  });

  afterEach(() => {
    model.dispose();
  });

  it('says what the platform wants known, as the command line does', () => {
    expect(screen.getByText(SERVICE.notices[0])).toBeTruthy();
  });

  it('says of each replica what its columns mean', () => {
    const table = screen.getByRole('table');
    expect(
      within(table)
        .getAllByRole('columnheader')
        .map(cell => cell.textContent)
    ).toEqual(['Replica', 'State', 'Started', 'Restarts', 'Message']);
    const cells = within(within(table).getAllByRole('row')[2])
      .getAllByRole('cell')
      .map(cell => cell.textContent);
    expect(cells).toEqual([
      '1',
      'starting',
      '',
      '3',
      'It ended with exit code 1.'
    ]);
  });

  it('says of a replica that waits what the cluster says', () => {
    const row = within(screen.getByRole('table')).getAllByRole('row')[3];
    const cells = within(row).getAllByRole('cell');
    expect([cells[1].textContent, cells[4].textContent]).toEqual([
      'starting',
      'The registry has no image registry.example/a:1; check its name and tag.'
    ]);
  });
});
