import { last, steps } from '../chart';

describe('the marks on the axis of x', () => {
  it('are whole where every x is, as epochs are', () => {
    const found = steps([1, 2, null, 40]);
    expect(found.every(Number.isInteger)).toBe(true);
    expect(found.slice(0, 5)).toEqual([1, 2, 5, 10, 20]);
  });

  it('are as fine as the values are elsewhere', () => {
    expect(steps([0, 0.25])).toContain(0.25);
    expect(steps([0, 0.25])).toContain(2.5);
  });
});

describe('the legend', () => {
  it('says the last value that was measured', () => {
    expect(last([3, 2, 0, null, undefined])).toBe(0);
    expect(last([null])).toBeNull();
  });
});
