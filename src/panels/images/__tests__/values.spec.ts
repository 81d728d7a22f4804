import { nullTranslator } from '@jupyterlab/translation';

import type { ImageDetail } from '../../../api/types';
import { imageFacts, imageLetter } from '../facts';
import {
  NO_VALUES,
  changedFields,
  fieldsOf,
  optionsOf,
  problemsOf,
  valuesOf
} from '../values';

const trans = nullTranslator.load('kpl_lab');
const some = { cpu: 4, memory: 8192, gpu: 1, shm: 256 };

const torch = {
  title: String('PyTorch'),
  description: '',
  documentation: null,
  framework: 'Torch',
  accelerator: 'gpu',
  icon: null,
  visibility: 'public',
  aliases: ['torch:2'],
  groups: ['vision'],
  variables: { OMP_NUM_THREADS: '2', EMPTY: '' },
  default_resources: { cpu: 1, memory: 2048, gpu: 0, shm: 64 },
  max_resources: null
} as unknown as ImageDetail;

describe('the fields of an image', () => {
  it('say what the image says, and nothing is changed', () => {
    const values = valuesOf(torch);
    expect(values.variables).toBe('OMP_NUM_THREADS=2\nEMPTY=');
    expect(changedFields(values, valuesOf(torch))).toEqual({});
    expect(fieldsOf(values)).toMatchObject({
      aliases: ['torch:2'],
      groups: ['vision'],
      variables: torch.variables,
      max_resources: null
    });
  });

  it('send what was changed, and nothing else', () => {
    const before = valuesOf(torch);
    const values = {
      ...before,
      groups: 'vision，speech',
      variables: 'A=b=c',
      maximum: some
    };
    expect(changedFields(values, before)).toEqual({
      groups: ['vision', 'speech'],
      variables: { A: 'b=c' },
      max_resources: some
    });
  });

  it('take away what was emptied', () => {
    const before = { ...valuesOf(torch), maximum: some };
    const values = { ...before, maximum: NO_VALUES.maximum, variables: '' };
    expect(changedFields(values, before)).toEqual({
      variables: {},
      max_resources: null
    });
  });

  it('are told apart from what cannot be', () => {
    expect(problemsOf(trans, NO_VALUES)).toEqual({});
    const wrong = problemsOf(trans, {
      ...NO_VALUES,
      documentation: 'javascript:alert(1)',
      variables: 'A=1\n2=b',
      defaults: { ...some, cpu: null },
      maximum: { ...some, gpu: null }
    });
    expect(Object.keys(wrong).sort()).toEqual([
      'defaults',
      'documentation',
      'maximum',
      'variables'
    ]);
    expect(wrong.variables).toContain('2=b');
  });

  it('know that a default is no more than the most', () => {
    const values = { ...NO_VALUES, defaults: some, maximum: some };
    expect(problemsOf(trans, values)).toEqual({});
    const less = { ...values, maximum: { ...some, memory: 4096 } };
    expect(problemsOf(trans, less).maximum).toContain('less than the default');
  });

  it('become the options of the command', () => {
    expect(
      optionsOf({
        description: 'For vision',
        groups: ['a', 'b'],
        variables: { A: '1' },
        max_resources: some
      })
    ).toEqual([
      '--description',
      'For vision',
      '--group',
      'a',
      '--group',
      'b',
      '--env',
      'A=1',
      '--max',
      'cpu=4',
      '--max',
      'memory=8192',
      '--max',
      'gpu=1',
      '--max',
      'shm=256'
    ]);
  });
});

describe('the line of facts of an image', () => {
  const versions = { python: '3.11.2', torch: '2.7.0' };

  it('has framework and Python with their versions, and what it is made for', () => {
    expect(
      imageFacts(trans, { accelerator: 'gpu', framework: 'Torch', versions })
    ).toBe('GPU · Torch 2.7.0 · Python 3.11.2');
  });

  it('names Python once, and a framework whose version nobody knows', () => {
    const python = { accelerator: 'cpu' as const, framework: 'Python' };
    expect(imageFacts(trans, { ...python, versions })).toBe(
      'CPU · Python 3.11.2'
    );
    expect(
      imageFacts(trans, { ...python, framework: 'PyTorch', versions: {} })
    ).toBe('CPU · PyTorch · Python');
  });

  it('has a letter before it, or the sign that it was given', () => {
    const image = { framework: 'torch', icon: null, name: 'x' };
    expect(imageLetter(image)).toBe('T');
    expect(imageLetter({ ...image, icon: '火' })).toBe('火');
  });
});
