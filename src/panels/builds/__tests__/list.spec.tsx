import {
  fireEvent,
  render,
  screen,
  waitFor,
  within
} from '@testing-library/react';
import * as React from 'react';

import { CommandIDs } from '../../../commandids';
import { Within, makeContext } from '../../../components/__tests__/context';
import type { ITestContext } from '../../../components/__tests__/context';
import { BuildList } from '../list';

const MADE = {
  id: 7,
  name: 'vision',
  kind: 'dockerfile',
  state: 'succeeded',
  owner: 'ann',
  reason: null,
  message: null,
  for_catalog: true,
  image_id: 3,
  created_at: '2026-11-21T10:00:00Z'
};
const FAILED = {
  ...MADE,
  id: 8,
  name: 'speech',
  state: 'failed',
  image_id: null,
  reason: 'build_failed',
  message: 'No wheel.'
};
const OF_A_TASK = { ...MADE, id: 9, name: 'for a task', for_catalog: false };

function show(items: unknown[]): ITestContext {
  const test = makeContext({ 'api/builds': { items, next: null } });
  render(
    <Within context={test.context}>
      <BuildList />
    </Within>
  );
  return test;
}

async function row(name: string): Promise<HTMLElement> {
  const [found] = await screen.findAllByRole('button', { name });
  return found.closest('tr')!;
}

describe('the list of builds', () => {
  it('leads to the log and to the image of one that has ended', async () => {
    const { opened } = show([MADE]);
    const [build, image] = within(await row('vision')).getAllByRole('button');
    fireEvent.click(build);
    await waitFor(() => expect(opened).toEqual([['builds', 7]]));
    fireEvent.click(image);
    await waitFor(() => expect(opened[1]).toEqual(['images', 3]));
  });

  it('says of what, by whom and how it ended, and why it failed', async () => {
    show([FAILED]);
    const { textContent } = await row('speech');
    expect(textContent).toContain('of a Dockerfile');
    expect(textContent).toContain('ann');
    expect(textContent).toContain('failed');
    expect(textContent).toContain('build failed');
    expect(textContent).toContain('No wheel.');
  });

  it('leaves out what code needs', async () => {
    show([OF_A_TASK, MADE]);
    expect(await row('vision')).toBeTruthy();
    expect(screen.queryByText('for a task')).toBeNull();
  });

  it('looks on where a page holds nothing but that', async () => {
    const test = makeContext({});
    const pages = [
      { items: [OF_A_TASK], next: 'on' },
      { items: [MADE], next: null }
    ];
    jest
      .spyOn(test.context.client.builds, 'list')
      .mockImplementation(async () => pages.shift() as never);
    render(
      <Within context={test.context}>
        <BuildList />
      </Within>
    );
    expect(await row('vision')).toBeTruthy();
  });

  it('says what will be here while there is nothing', async () => {
    const { executed } = show([OF_A_TASK]);
    expect(
      await screen.findByText(/Images that you build, load or save/)
    ).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'Build image…' }));
    expect(executed).toEqual([[CommandIDs.buildImage, undefined]]);
  });

  it('says why it cannot be had', async () => {
    const test = makeContext({});
    render(
      <Within context={test.context}>
        <BuildList />
      </Within>
    );
    expect((await screen.findByRole('alert')).textContent).toContain(
      'No such path.'
    );
  });
});
