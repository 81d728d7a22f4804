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

describe('reasons and states', () => {
  it('show a reason that has no words of its own as it is', () => {
    expect(reasonWords(trans, 'wrong_port')).toBe('failed: wrong port');
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
