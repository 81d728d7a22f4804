import { shareHeight } from '../heights';

describe('the height of open sections', () => {
  it('is what each needs, while there is room', () => {
    expect(shareHeight([52, 0, 100], 800)).toEqual([52, 0, 100]);
  });

  it('is shared by the long ones, when the short ones have theirs', () => {
    expect(shareHeight([52, 2000, 0, 900], 652)).toEqual([52, 300, 0, 300]);
    expect(shareHeight([2000, 900], 500)).toEqual([250, 250]);
  });

  it('is never more than there is', () => {
    expect(shareHeight([40, 40], -5)).toEqual([0, 0]);
    expect(shareHeight([], 100)).toEqual([]);
  });
});
