import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import * as React from 'react';

import type { BuildView } from '../../../api/types';
import { Within, makeContext } from '../../../components/__tests__/context';
import type { ITestContext } from '../../../components/__tests__/context';
import { ResourceDetail } from '../../../models/detail';
import { BuildForm } from '../../forms/build';
import { SectionList } from '../../sidebar/list';
import { BuildPage } from '../page';

const build = {
  id: 7,
  name: 'mine',
  kind: 'requirements',
  state: 'running',
  owner: 'ann',
  workspace: 'default',
  visibility: 'private',
  reason: null as string | null,
  message: null as string | null,
  for_catalog: true,
  image_id: null as number | null,
  pushed_to: null,
  created_at: '2026-11-21T10:00:00Z',
  updated_at: '2026-11-21T10:00:00Z'
};
const models: ResourceDetail<BuildView>[] = [];

afterEach(() => models.splice(0).forEach(model => model.dispose()));

function show(given: Partial<typeof build>): ITestContext {
  const test = makeContext({
    'api/builds/7': { ...build, ...given },
    'api/builds/7/stop': { ...build, ...given, state: 'stopped' },
    'api/builds/7/log': {
      text: 'Collecting numpy\n',
      offset: 0,
      next_offset: 17,
      complete: true
    }
  });
  const { client } = test.context;
  models.push(
    new ResourceDetail<BuildView>({
      resource: 'builds',
      id: 7,
      stream: client.stream,
      get: id => client.builds.get(id)
    })
  );
  render(
    <Within context={test.context}>
      <BuildPage
        model={models[models.length - 1]}
        tab=""
        onTab={() => undefined}
      />
    </Within>
  );
  return test;
}

describe('the page of a build', () => {
  it('shows its log, and stops it', async () => {
    const { requests } = show({});
    expect(await screen.findByText('of requirements')).toBeTruthy();
    await waitFor(() => expect(requests).toContain('GET api/builds/7/log'));
    fireEvent.click(screen.getByRole('button', { name: 'Stop' }));
    await waitFor(() => expect(requests).toContain('POST api/builds/7/stop'));
    expect(await screen.findByText('stopped')).toBeTruthy();
    expect(screen.queryByRole('button', { name: 'Stop' })).toBeNull();
  });

  it('says what it waits for where it runs', async () => {
    show({ message: 'The cluster has no node at present.' });
    expect(
      await screen.findByText('The cluster has no node at present.')
    ).toBeTruthy();
  });

  it('leads to the image that it has made', async () => {
    const { opened } = show({ state: 'succeeded', image_id: 3 });
    fireEvent.click(await screen.findByRole('button', { name: 'mine' }));
    await waitFor(() => expect(opened).toEqual([['images', 3]]));
  });

  it('says why it has made none', async () => {
    show({ state: 'failed', reason: 'build_failed', message: 'No wheel.' });
    expect(await screen.findByText('No wheel.')).toBeTruthy();
    expect(screen.getByText('build failed')).toBeTruthy();
  });
});

describe('the form that builds an image', () => {
  function open(engine: string): HTMLElement {
    const { context } = makeContext({ 'api/version': { engine } });
    render(
      <Within context={context}>
        <BuildForm start={{ path: 'work/vision' }} onDone={() => undefined} />
      </Within>
    );
    return document.querySelector<HTMLElement>('.kpl-Form-card')!;
  }

  function type(label: string, value: string): void {
    fireEvent.change(screen.getByLabelText(label), { target: { value } });
  }

  it('takes a folder, what a Dockerfile wants, and a registry', async () => {
    const card = open('docker');
    expect(await screen.findByText('Send it to a registry too')).toBeTruthy();
    type('Build arguments', 'A=1\nB=x y');
    type('Reference', 'registry.example/team/vision:1');
    type('Username', 'ada');
    expect(card.textContent).toContain('username and password, or neither');
    type('Password or token', 'open sesame');
    const said = card.textContent ?? '';
    expect(said).toContain('kpl image build ~/work/vision');
    expect(said).toContain("--build-arg 'B=x y'");
    expect(said).toContain('--push registry.example/team/vision:1');
    expect(said).not.toContain('sesame');
  });

  it('takes requirements and what they are added to', async () => {
    const card = open('local');
    type('Folder or file', 'work/requirements.txt');
    type('Base image', 'torch');
    expect(card.textContent).toContain('--file ~/work/requirements.txt');
    expect(card.textContent).toContain('--from torch');
    expect(await screen.findByText(/need an engine with/)).toBeTruthy();
    expect(screen.queryByText('Send it to a registry too')).toBeNull();
  });

  it('loads what was saved', async () => {
    const card = open('docker');
    type('Folder or file', 'images/torch.tar.gz');
    expect(card.textContent).toContain(
      'kpl image load torch ~/images/torch.tar.gz'
    );
    expect(await screen.findByRole('button', { name: 'Load' })).toBeTruthy();
  });
});

describe('the section of images', () => {
  it('shows what is being built above them', async () => {
    const { context } = makeContext({
      'api/images': { items: [], next: null },
      'api/builds': {
        items: [
          build,
          { ...build, id: 8, name: 'done', state: 'succeeded' },
          { ...build, id: 9, name: 'of a task', for_catalog: false }
        ],
        next: null
      }
    });
    const { images, builds } = context.client.lists;
    images.activate();
    builds.activate();
    render(
      <Within context={context}>
        <SectionList kind="images" list={images as never} isSearching={false} />
      </Within>
    );
    const row = await screen.findByRole('listitem');
    expect(row.textContent).toBe('minebeing built');
  });
});
