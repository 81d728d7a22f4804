import { Dialog } from '@jupyterlab/apputils';
import { nullTranslator } from '@jupyterlab/translation';
import {
  act,
  fireEvent,
  render,
  screen,
  waitFor
} from '@testing-library/react';
import * as React from 'react';

import type { IFilling, IServerUsage } from '../../api/local';
import { HomePage } from '../home';
import { ofLimit, partsOf } from '../usage';

const trans = nullTranslator.load('kpl_lab');

const USAGE: IServerUsage = {
  cpu: 0.31,
  cpu_limit: 2,
  memory: 1229,
  memory_limit: 4096,
  gpus: [],
  disk_used: 71 * 1024,
  disk_free: 29 * 1024,
  is_disk_full: false,
  home: 512,
  is_cleaning_up: false,
  kernels: [
    { path: 'digits.ipynb', memory: 900 },
    { path: 'notes.ipynb', memory: 60 }
  ],
  ended: [],
  processes: 3
};

function shorts(usage: Partial<IServerUsage>): string[] {
  return partsOf(trans, { ...USAGE, ...usage }).map(part =>
    [part.short, part.tone].filter(Boolean).join(' ! ')
  );
}

describe('the status bar', () => {
  it('says use and limit of each', () => {
    expect(shorts({})).toEqual([
      'CPU 0.3 / 2',
      'Memory 1.2 / 4 GiB',
      'Disk 71 / 100 GiB'
    ]);
  });

  it('says GPUs where there are any, and what their driver tells', () => {
    const gpu = { index: 0, name: 'T4', busy: 34, memory: 12_288 };
    expect(
      shorts({
        gpus: [
          { ...gpu, memory_limit: 15_360 },
          { ...gpu, index: 1, busy: null, memory_limit: 12_600 },
          { ...gpu, index: 2, busy: null, memory: null, memory_limit: null }
        ]
      }).slice(2, 5)
    ).toEqual([
      'GPU 34 % · 12 / 15 GiB ! warn',
      'GPU 12 / 12.3 GiB ! bad',
      'GPU 2'
    ]);
  });

  it('draws attention to memory and disk that run out, not to cores at work', () => {
    expect(
      shorts({
        cpu: 2,
        memory: 4000,
        disk_used: 850,
        disk_free: 150
      })
    ).toEqual([
      'CPU 2 / 2',
      'Memory 3.9 / 4 GiB ! bad',
      'Disk 850 / 1000 MiB ! warn'
    ]);
    expect(shorts({ is_disk_full: true })[2]).toContain('! bad');
  });

  it('goes without limits', () => {
    expect(shorts({ cpu_limit: null, memory_limit: null }).slice(0, 2)).toEqual(
      ['CPU 0.3', 'Memory 1.2 GiB']
    );
  });

  it('explains itself and names the largest kernels', () => {
    const words = partsOf(trans, USAGE).map(part => part.words);
    expect(words[1]).toContain('1.2 GiB of 4 GiB');
    expect(words[1]).toContain('digits.ipynb: 900 MiB');
    expect(words[2]).toContain('Home folder: 512 MiB');
  });

  it.each([
    [100, 512, '100 / 512 MiB'],
    [1536, 4096, '1.5 / 4 GiB'],
    [512, 2 * 1024 ** 2, '0 / 2 TiB']
  ])('writes %p of %p as %p', (used, limit, text) => {
    expect(ofLimit(used, limit)).toBe(text);
  });
});

describe('the page of the home folder', () => {
  const FULL: IFilling = {
    total: 20 * 1024 ** 2,
    free: 0,
    size: 24 * 1024 ** 2,
    is_full: true,
    is_whole: false,
    folders: [{ path: 'data', bytes: 8 * 1024 ** 2 }],
    files: [{ path: '.cache/wheel', bytes: 4 * 1024 ** 2 }]
  };

  function open(filling: IFilling): { removed: string[] } {
    const removed: string[] = [];
    let now = filling;
    render(
      <HomePage
        trans={trans}
        isCleaningUp={true}
        onRemoved={() => undefined}
        api={{
          filling: async () => now,
          remove: async path => {
            removed.push(path);
            now = { ...filling, is_full: false, folders: [] };
          }
        }}
      />
    );
    return { removed };
  }

  async function ask(label: string): Promise<void> {
    const button = await screen.findByLabelText(label);
    await act(async () => void fireEvent.click(button));
  }

  async function answer(accept: boolean): Promise<void> {
    await waitFor(() =>
      expect(document.querySelector('.jp-Dialog')).not.toBeNull()
    );
    const kind = accept ? '.jp-mod-accept' : '.jp-mod-reject';
    await act(async () =>
      document.querySelector<HTMLElement>(`.jp-Dialog ${kind}`)!.click()
    );
  }

  afterEach(() => Dialog.flush());

  it('says why it is open, what is large, and that it may be more', async () => {
    open(FULL);
    await screen.findByText('data');
    expect(screen.getByText('.cache/wheel')).toBeTruthy();
    expect(screen.getByRole('alert').textContent).toContain('is full');
    expect(screen.getByText(/at least these/)).toBeTruthy();
  });

  it('deletes after a question, and says that there is room again', async () => {
    const { removed } = open(FULL);
    await ask('Delete data…');
    await answer(true);
    await waitFor(() => expect(removed).toEqual(['data']));
    await waitFor(() =>
      expect(screen.getByRole('alert').textContent).toContain('room again')
    );
    expect(screen.queryByText('data')).toBeNull();
  });

  it('deletes nothing when the answer is no', async () => {
    const { removed } = open(FULL);
    await ask('Delete .cache/wheel…');
    await answer(false);
    await waitFor(() =>
      expect(document.querySelector('.jp-Dialog')).toBeNull()
    );
    expect(removed).toEqual([]);
  });
});
