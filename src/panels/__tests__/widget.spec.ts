import { makeContext } from '../../components/__tests__/context';
import { RESOURCE_ICONS } from '../../icons';
import type { ResourceKind } from '../../tokens';
import { DetailWidget } from '../widget';

describe('the tab of a page', () => {
  const { context } = makeContext({
    'api/datasets/1': { id: 1, name: 'digits' },
    'api/models/1': { id: 1, name: 'digits' }
  });

  it.each<[ResourceKind, string]>([
    ['datasets', 'Dataset digits'],
    ['models', 'Model digits']
  ])('of %s has its name, its icon, and both in words', async (kind, words) => {
    const widget = new DetailWidget({ context, kind, id: 1 });
    const named = new Promise<void>(resolve =>
      widget.title.changed.connect(({ label: now }) => {
        if (now.startsWith('digits')) {
          resolve();
        }
      })
    );
    await named;
    expect(widget.title.label).toBe('digits');
    expect(widget.title.caption).toBe(words);
    expect(widget.title.icon).toBe(RESOURCE_ICONS[kind]);
    widget.dispose();
  });
});
