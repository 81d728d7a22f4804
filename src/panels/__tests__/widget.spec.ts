import { waitFor } from '@testing-library/react';

import { makeContext } from '../../components/__tests__/context';
import type { IKplContext } from '../../context';
import { RESOURCE_ICONS } from '../../icons';
import type { ResourceKind } from '../../tokens';
import { DetailWidget } from '../widget';

async function open(
  context: IKplContext,
  kind: ResourceKind,
  id: number
): Promise<DetailWidget> {
  const widget = new DetailWidget({ context, kind, id });
  await waitFor(() => expect(widget.title.caption).not.toBe(''));
  return widget;
}

describe('the tab of a page', () => {
  const { context } = makeContext({
    'api/datasets/1': { id: 1, name: 'digits' },
    'api/models/1': { id: 1, name: 'digits' },
    'api/tasks/8': { id: 8, name: 'train' },
    'api/tasks/9': { id: 9, name: 'train' }
  });
  const labels = (widgets: DetailWidget[]): string[] =>
    widgets.map(({ title }) => title.label);

  it.each<[ResourceKind, string]>([
    ['datasets', 'Dataset digits'],
    ['models', 'Model digits']
  ])('of %s has its name, its icon, and both in words', async (kind, words) => {
    const widget = await open(context, kind, 1);
    expect(widget.title.label).toBe('digits');
    expect(widget.title.caption).toBe(words);
    expect(widget.title.icon).toBe(RESOURCE_ICONS[kind]);
    widget.dispose();
  });

  it('says what it is about while another has the same name', async () => {
    const dataset = await open(context, 'datasets', 1);
    const model = await open(context, 'models', 1);
    const task = await open(context, 'tasks', 8);
    expect(labels([dataset, model, task])).toEqual([
      'digits (Dataset)',
      'digits (Model)',
      'train'
    ]);
    dataset.dispose();
    expect(labels([model])).toEqual(['digits']);
    model.dispose();
    task.dispose();
  });

  it('has its number where even the kind is the same', async () => {
    const tasks = [
      await open(context, 'tasks', 8),
      await open(context, 'tasks', 9)
    ];
    expect(labels(tasks)).toEqual(['train (Task 8)', 'train (Task 9)']);
    tasks.forEach(task => task.dispose());
  });
});
