import * as fs from 'fs';
import * as path from 'path';

import { nullTranslator } from '@jupyterlab/translation';

import {
  isFinal,
  reasonWords,
  stateIcon,
  stateTone,
  taskFacts
} from '../states';

const trans = nullTranslator.load('kpl_lab');

const task = {
  state: 'running' as const,
  progress: null,
  seconds_left: null,
  queue: null,
  reason: null,
  headline: ''
};

describe('the line of facts of a task', () => {
  it('says how far it is and how long it will take', () => {
    expect(taskFacts(trans, task)).toBe('running');
    expect(taskFacts(trans, { ...task, progress: 0.62 })).toBe('62 %');
    expect(
      taskFacts(trans, { ...task, progress: 0.62, seconds_left: 190 })
    ).toBe('62 % · 3 min left');
  });

  it('says why it waits', () => {
    expect(
      taskFacts(trans, {
        ...task,
        state: 'queued',
        queue: { ahead: 2, waiting_for: 'waiting for 1 GPU; 2 ahead of you' }
      })
    ).toBe('waiting for 1 GPU; 2 ahead of you');
  });

  it('says how it ended', () => {
    expect(
      taskFacts(trans, { ...task, state: 'succeeded', headline: '97.1 %' })
    ).toBe('done · 97.1 %');
    expect(
      taskFacts(trans, { ...task, state: 'failed', reason: 'out_of_memory' })
    ).toBe('out of memory');
  });
});

/**
 * The codes that stand in the platform's sources: of the fault dictionary, and of every
 * reason that is written elsewhere.
 */
function reasonsOfThePlatform(): string[] {
  const platform = path.resolve(__dirname, '../../kpl_lab/platform');
  const found = (file: string, pattern: RegExp): string[] =>
    [
      ...fs.readFileSync(path.join(platform, file), 'utf8').matchAll(pattern)
    ].map(match => match[1]);
  const sources = fs
    .readdirSync(platform, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.py'));
  return [
    ...sources
      .filter(file => file.startsWith('domain/faults/'))
      .flatMap(file => found(file, /\bcode ?= ?"([a-z_]+)"/g)),
    // Why an image cannot be used.
    ...found('domain/images.py', /code="((?:image_|no_|above_)[a-z_]+)"/g),
    ...['local/images.py', 'docker/images.py', 'docker/daemon.py'].flatMap(
      file => found(`../engines/${file}`, /\bcode ?= ?"([a-z_]+)"/g)
    ),
    ...sources.flatMap(file =>
      found(file, /\breason(?:=|": )[^,[\n]*"([a-z_]+)"/g)
    )
  ];
}

describe('reasons and states', () => {
  const reasons = [...new Set(reasonsOfThePlatform())];
  const chinese = JSON.parse(
    fs.readFileSync(
      path.resolve(
        __dirname,
        '../../kpl_lab/locale/zh_CN/LC_MESSAGES/kpl_lab.json'
      ),
      'utf8'
    )
  ) as Record<string, unknown>;

  it('find the reasons where the platform has them', () => {
    expect(reasons).toEqual(
      expect.arrayContaining(['never_fits', 'exit_code', 'platform_down'])
    );
  });

  it.each(reasons)('have words for %s in both languages', reason => {
    const words = reasonWords(trans, reason);
    expect(words).not.toMatch(/^failed/);
    expect(Object.keys(chinese)).toContain(words);
  });

  it('show a reason that has no words of its own as it is', () => {
    expect(reasonWords(trans, 'not_known_yet')).toBe('failed: not known yet');
    expect(reasonWords(trans, null)).toBe('failed');
  });

  it('take a running service for good and a running task for busy', () => {
    expect(stateTone('running', 'services')).toBe('good');
    expect(stateTone('running', 'tasks')).toBe('busy');
  });

  it('draw a running service as a whole, unlike the progress of a task', () => {
    const service = stateIcon('running', 'services');
    expect(service).not.toBe(stateIcon('running', 'tasks'));
    expect(service).not.toBe(stateIcon('succeeded', 'tasks'));
  });

  it('know the ends', () => {
    expect(['succeeded', 'failed', 'stopped'].every(isFinal)).toBe(true);
    expect(['draft', 'queued', 'stopping'].some(isFinal)).toBe(false);
  });
});
