import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import * as React from 'react';

import { Within, makeContext } from '../../../components/__tests__/context';
import type { ITestContext } from '../../../components/__tests__/context';
import type { ImageDetail } from '../../../api/types';
import { ResourceDetail } from '../../../models/detail';
import { ImageForm } from '../../forms/image';
import { ImagePage } from '../page';

const image = {
  id: 3,
  name: 'torch',
  state: 'ready',
  owner: 'ann',
  visibility: 'private',
  reason: null as string | null,
  message: null as string | null,
  source: 'registered',
  reference: '/opt/torch',
  digest: 'sha256:12ab',
  architecture: 'x86_64',
  size_bytes: null,
  title: String('PyTorch'),
  description: 'For vision',
  documentation: null,
  framework: 'Torch',
  versions: { python: '3.11', torch: '2.7.0' },
  accelerator: 'cpu',
  aliases: [],
  icon: null,
  groups: [],
  default: false,
  serves_notebooks: false,
  default_resources: { cpu: 1, memory: 2048, gpu: 0, shm: 64 },
  max_resources: null,
  packages: { python: '3.11', torch: '2.7.0', numpy: '2.1.0' },
  variables: {},
  created_at: '2026-11-21T10:00:00Z',
  updated_at: '2026-11-21T10:00:00Z'
};
const ann = { name: 'ann', admin: false, scopes: [] as string[], kind: 'user' };
const bob = { ...ann, name: 'bob' };
const keeper = { ...bob, scopes: ['custom:kpl:catalog'] };

const build = {
  id: 12,
  name: 'torch',
  kind: 'dockerfile',
  state: 'succeeded',
  owner: 'ann',
  reason: null,
  message: null,
  image_id: 3,
  created_at: '2026-11-20T10:00:00Z'
};
const builds = [
  {
    ...build,
    id: 14,
    state: 'failed',
    image_id: null,
    reason: 'build_failed',
    message: 'No wheel.'
  },
  build,
  { ...build, id: 11, image_id: 99, message: 'Of another image.' }
];
const models: ResourceDetail<ImageDetail>[] = [];

afterEach(() => models.splice(0).forEach(model => model.dispose()));

function Shown(props: { model: ResourceDetail<ImageDetail> }): JSX.Element {
  const [tab, setTab] = React.useState('');
  return <ImagePage model={props.model} tab={tab} onTab={setTab} />;
}

function show(
  given: Partial<typeof image>,
  me = ann,
  catalog = { file: 'images.yml', problem: null as string | null }
): ITestContext {
  const test = makeContext({
    'api/images/3': { ...image, ...given },
    'api/images/3/look': { ...image, ...given, state: 'preparing' },
    'api/me': me,
    'api/builds': { items: builds, next: null },
    'api/catalog': catalog
  });
  const { client } = test.context;
  models.push(
    new ResourceDetail<ImageDetail>({
      resource: 'images',
      id: 3,
      stream: client.stream,
      get: id => client.images.get(id)
    })
  );
  render(
    <Within context={test.context}>
      <Shown model={models[models.length - 1]} />
    </Within>
  );
  return test;
}

describe('the page of an image', () => {
  it('says what is in it, where it is, and who may use it', async () => {
    show({});
    expect(await screen.findByText('/opt/torch')).toBeTruthy();
    for (const text of [
      'sha256:12ab',
      'x86_64',
      'its owner and administrators',
      '2 GiB'
    ]) {
      expect(screen.getByText(text)).toBeTruthy();
    }
    expect(screen.getByText(/cannot start from it: it has no/)).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: '3 packages' }));
    fireEvent.change(screen.getByRole('searchbox'), {
      target: { value: 'num' }
    });
    expect(screen.getAllByRole('row').map(row => row.textContent)).toEqual([
      'PackageVersion',
      'numpy2.1.0'
    ]);
  });

  it('lets its owner take it offline, look again and delete it', async () => {
    const { requests } = show({});
    fireEvent.click(await screen.findByRole('button', { name: 'Look again' }));
    await waitFor(() => expect(requests).toContain('POST api/images/3/look'));
    expect(screen.getByRole('button', { name: 'Delete…' })).toBeTruthy();
    await waitFor(() => expect(screen.getByText('preparing')).toBeTruthy());
  });

  it('sends what was changed alone', async () => {
    const { requests } = show({});
    fireEvent.click(await screen.findByRole('tab', { name: 'Edit' }));
    const save = await screen.findByRole('button', { name: 'Save' });
    expect((save as HTMLButtonElement).disabled).toBe(true);
    fireEvent.change(screen.getByLabelText('Description'), {
      target: { value: 'New words' }
    });
    expect(screen.getByText(/kpl image set torch/).textContent).toContain(
      "--description 'New words'"
    );
    fireEvent.click(save);
    await waitFor(() => expect(requests).toContain('PATCH api/images/3'));
  });

  it('offers others nothing that would be refused', async () => {
    show({}, bob);
    await screen.findByText('/opt/torch');
    expect(screen.queryByRole('button', { name: 'Look again' })).toBeNull();
    expect(screen.queryByRole('button', { name: 'Delete…' })).toBeNull();
    fireEvent.click(screen.getByRole('tab', { name: 'Edit' }));
    expect(await screen.findByText(/belongs to ann; only they/)).toBeTruthy();
  });

  it('lets who keeps the catalog change what is not theirs', async () => {
    show({}, keeper);
    await screen.findByRole('button', { name: 'Take offline' });
    fireEvent.click(screen.getByRole('tab', { name: 'Edit' }));
    const field = await screen.findByLabelText('Visible to');
    await waitFor(() =>
      expect(field.textContent).toContain('everybody, as a preset')
    );
  });

  it('leads to the file where that keeps the image, and says what is wrong with it', async () => {
    show({ source: 'file', owner: 'kpl-lab' }, keeper, {
      file: 'images.yml',
      problem: 'images.yml, line 5: no.'
    });
    expect(await screen.findByText('images.yml, line 5: no.')).toBeTruthy();
    await screen.findByRole('button', { name: 'Look again' });
    expect(screen.queryByRole('button', { name: 'Delete…' })).toBeNull();
    fireEvent.click(screen.getByRole('tab', { name: 'Edit' }));
    expect(
      await screen.findByText(
        'This image stands in the catalog file images.yml'
      )
    ).toBeTruthy();
  });

  it('says why it cannot be used', async () => {
    show({
      state: 'failed',
      reason: 'image_missing',
      message: 'There is no such folder.'
    });
    expect(await screen.findByText('There is no such folder.')).toBeTruthy();
  });
});

describe('the page of an image that was built here', () => {
  it('leads to the build that it came from', async () => {
    const { opened } = show({ source: 'built' });
    fireEvent.click(await screen.findByRole('button', { name: /^Build, / }));
    await waitFor(() => expect(opened).toEqual([['builds', 12]]));
  });

  it('shows its builds, with those that failed and why', async () => {
    show({ source: 'built' });
    fireEvent.click(await screen.findByRole('tab', { name: 'Builds' }));
    expect(await screen.findByText('No wheel.')).toBeTruthy();
    expect(screen.getAllByText('of a Dockerfile')).toHaveLength(2);
    expect(screen.queryByText('Of another image.')).toBeNull();
  });

  it('has no builds to show where it was registered', async () => {
    const { requests } = show({});
    await screen.findByRole('tab', { name: 'Edit' });
    expect(screen.queryByRole('tab', { name: 'Builds' })).toBeNull();
    expect(requests).not.toContain('GET api/builds');
  });
});

describe('the form that registers an image', () => {
  function open(engine: string, me = ann): ITestContext {
    const test = makeContext({ 'api/me': me, 'api/version': { engine } });
    render(
      <Within context={test.context}>
        <ImageForm start={{}} onDone={() => undefined} />
      </Within>
    );
    return test;
  }

  it('asks for a reference where there is a registry, with a sign-in', async () => {
    open('docker');
    expect(await screen.findByText('Sign in to the registry')).toBeTruthy();
    fireEvent.change(screen.getByLabelText('Reference'), {
      target: { value: 'registry.example/team/torch:2.7' }
    });
    expect((screen.getByLabelText('Name') as HTMLInputElement).value).toBe(
      'torch'
    );
    fireEvent.change(screen.getByLabelText('Username'), {
      target: { value: 'ada' }
    });
    fireEvent.change(screen.getByLabelText('Password or token'), {
      target: { value: 'open sesame' }
    });
    const card = document.querySelector('.kpl-Form-card')?.textContent ?? '';
    expect(card).toContain('--username ada');
    expect(card).toContain('--password-stdin');
    expect(card).not.toContain('sesame');
  });

  it('asks for the folder of an environment where there is none', async () => {
    open('local', keeper);
    expect(
      await screen.findByLabelText('Folder of the environment')
    ).toBeTruthy();
    expect(screen.queryByText('Sign in to the registry')).toBeNull();
  });

  it('says to others than administrators who can do it there', async () => {
    open('local');
    expect(
      await screen.findByText(/an administrator registers it\.$/)
    ).toBeTruthy();
  });
});
