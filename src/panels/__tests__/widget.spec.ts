import { makeContext } from '../../components/__tests__/context';
import type { ResourceKind } from '../../tokens';
import { DetailWidget } from '../widget';

describe('the tab of a page', () => {
  const { context } = makeContext({
    'api/datasets/1': { id: 1, name: 'digits' },
    'api/models/1': { id: 1, name: 'digits' }
  });

  it.each<[ResourceKind, string]>([
    ['datasets', 'digits · Dataset'],
    ['models', 'digits · Model']
  ])('of %s says what kind of thing it shows', async (kind, label) => {
    const widget = new DetailWidget({ context, kind, id: 1 });
    const named = new Promise<void>(resolve =>
      widget.title.changed.connect(({ label: now }) => {
        if (now.startsWith('digits')) {
          resolve();
        }
      })
    );
    await named;
    expect(widget.title.label).toBe(label);
    widget.dispose();
  });
});
