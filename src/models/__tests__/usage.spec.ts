import type { IEnded, IServerUsage } from '../../api/local';
import { toneOf, UsageModel } from '../usage';

const QUIET: IServerUsage = {
  cpu: 0.3,
  cpu_limit: 2,
  memory: 1024,
  memory_limit: 4096,
  gpus: [],
  disk_used: 700,
  disk_free: 300,
  is_disk_full: false,
  home: null,
  is_cleaning_up: false,
  kernels: [],
  ended: [],
  processes: 3
};

/**
 * A browser: what it remembers, and what its pages say while readings come in.
 */
class Browser {
  readonly said: string[] = [];

  open(): (reading: Partial<IServerUsage>) => Promise<void> {
    let next = QUIET;
    const model = new UsageModel({
      read: async () => next,
      memory: {
        getItem: key => this._kept.get(key) ?? null,
        setItem: (key, value) => void this._kept.set(key, value)
      },
      standby: 'never'
    });
    this._models.push(model);
    model.memoryShort.connect((_, usage) =>
      this.said.push(`short ${usage.memory}`)
    );
    model.ended.connect((_, ended) => this.said.push(`ended ${ended.path}`));
    model.start();
    return async reading => {
      next = { ...QUIET, ...reading };
      await model.refresh();
    };
  }

  close(): void {
    this._models.forEach(model => model.dispose());
  }

  private readonly _kept = new Map<string, string>();
  private readonly _models: UsageModel[] = [];
}

function ended(number: number, path: string, at: string): IEnded {
  return { number, path, memory: null, at };
}

describe('use of the server', () => {
  let browser: Browser;

  beforeEach(() => {
    browser = new Browser();
  });

  afterEach(() => browser.close());

  it('warns of memory once, and again only after it fell', async () => {
    const show = browser.open();
    for (const memory of [3600, 3700, 3800, 4000, 1000, 4000]) {
      await show({ memory });
    }
    expect(browser.said).toEqual(['short 3700', 'short 4000']);
  });

  it('warns from nine tenths on', async () => {
    const show = browser.open();
    await show({ memory: 3680 });
    expect(browser.said).toEqual([]);
    await show({ memory: 3690 });
    expect(browser.said).toEqual(['short 3690']);
  });

  it('does not warn anew for what goes up and down a little', async () => {
    const show = browser.open();
    for (const memory of [3700, 3600, 3400, 3900]) {
      await show({ memory });
    }
    expect(browser.said).toEqual(['short 3700']);
    await show({ memory: 3200 });
    await show({ memory: 3700 });
    expect(browser.said).toEqual(['short 3700', 'short 3700']);
  });

  it('never warns where there is no limit', async () => {
    const show = browser.open();
    await show({ memory: 999_999, memory_limit: null });
    expect(browser.said).toEqual([]);
  });

  it('tells of every kernel that was ended once, whatever is opened anew', async () => {
    const first = ended(1, 'a.ipynb', '2026-11-21T10:00:00Z');
    const second = ended(2, 'b.ipynb', '2026-11-21T10:05:00Z');
    const show = browser.open();
    await show({ ended: [first] });
    await show({ ended: [first] });
    await show({ ended: [first, second] });
    await browser.open()({ ended: [first, second] });
    expect(browser.said).toEqual(['ended a.ipynb', 'ended b.ipynb']);
  });

  it('tells of a kernel after the server was started anew and counts from one', async () => {
    await browser.open()({
      ended: [ended(1, 'a.ipynb', '2026-11-21T10:00:00Z')]
    });
    await browser.open()({
      ended: [ended(1, 'a.ipynb', '2026-11-21T11:00:00Z')]
    });
    expect(browser.said).toEqual(['ended a.ipynb', 'ended a.ipynb']);
  });
});

describe('the tone of a share', () => {
  it.each([
    [79, 100, undefined],
    [80, 100, 'warn'],
    [94, 100, 'warn'],
    [95, 100, 'bad'],
    [120, 100, 'bad'],
    [95, null, undefined],
    [95, 0, undefined],
    [null, 100, undefined]
  ])('of %p in %p is %p', (used, limit, tone) => {
    expect(toneOf(used, limit)).toBe(tone);
  });
});
