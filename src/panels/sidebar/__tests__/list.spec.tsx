import { act, fireEvent, render, screen } from '@testing-library/react';
import * as React from 'react';

import { CommandIDs } from '../../../commandids';
import { Within, makeContext } from '../../../components/__tests__/context';
import type { ITestContext } from '../../../components/__tests__/context';
import type { IItem, ResourceList } from '../../../models/list';
import { SectionList } from '../list';

const common = {
  owner: 'ann',
  workspace: 'default',
  visibility: 'private',
  reason: null,
  message: null,
  description: '',
  purpose: 'classification',
  format: 'kpl',
  progress: null
};

const digits = {
  ...common,
  id: 2,
  name: 'digits',
  state: 'ready',
  version: 2,
  records: 1797,
  bytes: 4096
};
const fruit = { ...digits, id: 1, name: '水果', version: 1, records: 5213 };

function show(answers: Record<string, unknown>): ITestContext {
  const test = makeContext(answers);
  const list = test.context.client.lists
    .datasets as unknown as ResourceList<IItem>;
  list.activate();
  render(
    <Within context={test.context}>
      <SectionList kind="datasets" list={list} isSearching={false} />
    </Within>
  );
  return test;
}

describe('the rows of a section', () => {
  const answers = { 'api/datasets': { items: [digits, fruit], next: null } };

  it('show name and facts', async () => {
    show(answers);
    expect(await screen.findByText('v2 · 1.8k')).toBeTruthy();
    expect(screen.getByText('水果')).toBeTruthy();
  });

  it('are moved through with the arrows and opened with Enter', async () => {
    const { executed } = show(answers);
    await screen.findByText('digits');
    const [first, second] = screen.getAllByRole('listitem');
    act(() => first.focus());
    fireEvent.keyDown(first, { key: 'ArrowDown' });
    expect(document.activeElement).toBe(second);
    fireEvent.keyDown(second, { key: 'Enter' });
    expect(executed).toEqual([
      [CommandIDs.openDetail, { kind: 'datasets', id: 1 }]
    ]);
  });

  it('ask before something is deleted', async () => {
    const { executed, requests } = show(answers);
    await screen.findByText('digits');
    fireEvent.keyDown(screen.getAllByRole('listitem')[0], { key: 'Delete' });
    expect(executed[0][0]).toBe(CommandIDs.deleteResource);
    expect(requests.some(asked => asked.startsWith('DELETE'))).toBe(false);
  });

  it('offer actions that name themselves, without opening the row', async () => {
    const { executed } = show(answers);
    await screen.findByText('digits');
    fireEvent.click(screen.getAllByRole('button', { name: 'Mount' })[0]);
    expect(executed.map(([id]) => id)).toEqual([CommandIDs.mountDataset]);
  });

  it('mark what is mounted', async () => {
    const { context } = show({
      ...answers,
      'api/capacity': {},
      'api/servers': {
        items: [
          {
            id: 1,
            name: '',
            state: 'running',
            mounts: [{ id: 5, dataset_id: 2, path: 'datasets/digits' }]
          }
        ]
      }
    });
    await screen.findByText('digits');
    await act(() => context.client.place.refresh());
    expect(
      screen.getByRole('img', { name: 'Mounted at ~/datasets/digits' })
    ).toBeTruthy();
    expect(screen.getByRole('button', { name: 'Unmount' })).toBeTruthy();
  });
});

describe('a section without rows', () => {
  it('says what it is for and how to begin', async () => {
    const { executed } = show({ 'api/datasets': { items: [], next: null } });
    fireEvent.click(
      await screen.findByRole('button', { name: 'New dataset…' })
    );
    expect(executed[0][0]).toBe(CommandIDs.newDataset);
  });

  it('says what went wrong', async () => {
    show({});
    expect((await screen.findByRole('alert')).textContent).toContain(
      'No such path.'
    );
  });
});
