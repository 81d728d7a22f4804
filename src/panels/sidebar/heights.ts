/**
 * Share a height among sections: each gets what it needs; where that is more than there is, short
 * ones still do, and the others share the rest equally.
 *
 * @param needs What each needs; 0 for one that is closed.
 * @param room The height in all.
 */
export function shareHeight(needs: number[], room: number): number[] {
  const heights = needs.map(() => 0);
  let rest = Math.max(0, room);
  const waiting = needs
    .map((need, at) => ({ need, at }))
    .filter(({ need }) => need > 0)
    .sort((one, other) => one.need - other.need);
  waiting.forEach(({ need, at }, taken) => {
    heights[at] = Math.min(need, rest / (waiting.length - taken));
    rest -= heights[at];
  });
  return heights;
}
