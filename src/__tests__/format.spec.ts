import { nullTranslator } from '@jupyterlab/translation';

import {
  ago,
  bytes,
  count,
  duration,
  measured,
  memory,
  percent,
  remaining
} from '../format';

const trans = nullTranslator.load('kpl_lab');

describe('sizes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [345_678, '338 KiB'],
    [5 * 1024 ** 3, '5 GiB']
  ])('%d is %s', (value, words) => expect(bytes(value)).toBe(words));

  it('are a dash where they are not known', () => {
    expect(bytes(null)).toBe('–');
    expect(memory(undefined)).toBe('–');
  });

  it('of memory begin with MiB', () => {
    expect(memory(512)).toBe('512 MiB');
    expect(memory(4096)).toBe('4 GiB');
  });
});

describe('counts', () => {
  it.each([
    [7, '7'],
    [999, '999'],
    [1797, '1.8k'],
    [123_456, '123k'],
    [999_499, '999k'],
    [999_500, '1M'],
    [5_213_000, '5.2M']
  ])('%d is %s', (value, words) => expect(count(value)).toBe(words));
});

describe('measured values', () => {
  it.each([
    [0, '0'],
    [1797, '1797'],
    [0.97123456, '0.9712'],
    [0.0000123, '1.230e-5'],
    [-12_345_678.5, '-1.235e+7'],
    ['adam', 'adam'],
    [[1, 2], '[1,2]']
  ])('%p is %s', (value, words) => expect(measured(value)).toBe(words));
});

describe('times', () => {
  it.each([
    [0.4, '0 s'],
    [59, '59 s'],
    [60, '1 min'],
    [190, '3 min 10 s'],
    [720, '12 min'],
    [7200, '2 h'],
    [7500, '2 h 5 min'],
    [90_000, '1 d 1 h'],
    [-3, '0 s']
  ])('%d seconds are %s', (seconds, words) =>
    expect(duration(trans, seconds)).toBe(words)
  );

  it('that remain are no more exact than an estimate is', () => {
    expect(remaining(trans, 190)).toBe('3 min');
    expect(remaining(trans, 61)).toBe('1 min');
    expect(remaining(trans, 20)).toBe('20 s');
  });

  it('that are past become coarser', () => {
    const now = Date.parse('2026-06-01T12:00:00Z');
    expect(ago(trans, '2026-06-01T11:59:40Z', now)).toBe('just now');
    expect(ago(trans, '2026-06-01T11:56:00Z', now)).toBe('4 min ago');
    expect(ago(trans, '2026-06-01T09:00:00Z', now)).toBe('3 h ago');
    expect(ago(trans, '2026-05-29T12:00:00Z', now)).toBe('3 d ago');
  });
});

describe('shares', () => {
  it('are never done before they are', () => {
    expect(percent(0.999)).toBe('99 %');
    expect(percent(1)).toBe('100 %');
    expect(percent(1.2)).toBe('100 %');
  });
});
