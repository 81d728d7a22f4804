import type { FunctionView } from '../../../api/types';
import {
  NO_VALUES,
  changedParameters,
  parseReference,
  taskBody,
  taskCommand,
  taskPython
} from '../taskbody';

const train: FunctionView = {
  name: 'train',
  cmd: 'python3 train.py',
  resources: { cpu: 2, memory: 2048, gpu: 0, shm: 64 },
  inputs: [
    {
      key: 'data',
      name: '数据',
      kind: 'dataset',
      optional: false,
      format: null
    },
    { key: 'model', name: 'start', kind: 'model', optional: true, format: null }
  ],
  outputs: [
    { key: 'save', name: 'model', kind: 'model', optional: false, format: null }
  ],
  port: null,
  health: null,
  interface: []
};

const defaults = { seed: 1, train: { epochs: 10, lr: 0.01 } };

const values = {
  ...NO_VALUES,
  inputs: { data: 'dataset:digits:2' },
  parameters: { seed: 1, train: { epochs: 20, lr: 0.01 } }
};

describe('the request of a task form', () => {
  it('holds what was decided, and no default', () => {
    expect(taskBody(values, train, defaults)).toEqual({
      function: 'train',
      inputs: [{ key: 'data', kind: 'dataset', name: 'digits', version: 2 }],
      parameters: { train: { epochs: 20 } }
    });
  });

  it('holds limits, names and variables that were given', () => {
    const body = taskBody(
      {
        ...values,
        name: ' mine ',
        memory: 4096,
        timeLimitMinutes: 5,
        environment: 'A=1\nnot a variable\nB=x=y',
        saveAs: { save: 'best' }
      },
      train,
      defaults
    );
    expect(body).toMatchObject({
      name: 'mine',
      resources: { memory: 4096 },
      time_limit_seconds: 300,
      environment: { A: '1', B: 'x=y' },
      save_as: [{ output: 'save', kind: 'model', name: 'best' }]
    });
  });
});

describe('the same as a command', () => {
  it('is one that kpl understands', () => {
    const body = taskBody(values, train, defaults);
    const command = taskCommand({ path: 'my work/digits' }, body);
    expect(command.replace(/ \\\n {2}/g, ' ')).toBe(
      "kpl task submit --code ~/'my work/digits' --function train --input data=dataset:digits:2 --param train.epochs=20"
    );
  });

  it('names an algorithm instead of a folder', () => {
    expect(
      taskCommand({ algorithm: 'digits:3' }, { function: 'test' })
    ).toContain('--algorithm digits:3');
  });
});

describe('the same as Python', () => {
  it('packs the folder where there is one', () => {
    const code = taskPython(
      { path: 'digits' },
      taskBody(values, train, defaults)
    );
    expect(code).toContain('parameters={"train": {"epochs": 20}},');
    expect(code).toContain('submit(body, Path.home() / "digits")');
    expect(taskPython({ algorithm: 'digits' }, {})).not.toContain('Path');
  });
});

describe('parts of a request', () => {
  it('read references with and without a version', () => {
    expect(parseReference('m', 'model:水果 v2')).toEqual({
      key: 'm',
      kind: 'model',
      name: '水果 v2',
      version: null
    });
    expect(parseReference('m', '')).toBeNull();
  });

  it('leave unchanged parameters to the file', () => {
    expect(changedParameters(defaults, defaults)).toEqual({});
    expect(changedParameters({ ...defaults, list: [1] }, defaults)).toEqual({
      list: [1]
    });
  });
});
