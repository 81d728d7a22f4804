"""In which order records are read: shuffled, and split between the processes of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def record_order(
    count: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    even: bool = False,
) -> Sequence[int]:
    """Return the numbers of the records that one process reads.

    The shards of all ranks together are every record exactly once. Every process must pass the
    same `seed`; pass ``seed + epoch`` for another order in each epoch.

    Parameters
    ----------
    count
        How many records there are.
    shuffle
        Whether the order is random; it depends on `seed` and `count` alone.
    seed
        Any integer.
    rank, world_size
        Which process this is, from 0, and how many there are.
    even
        Leave out up to ``world_size - 1`` records, so that all shards are equally long and no
        process waits for another at the end of an epoch.

    Raises
    ------
    ValueError
        `rank` is not below `world_size`, or one of them is negative.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be from 0 to world_size - 1: got {rank} of {world_size}.")
    if even:
        count -= count % world_size
    if not shuffle:
        return range(rank, count, world_size)
    numbers = list(range(count))
    # Imported only where it is used: it takes longer than the rest of the package.
    from random import Random

    # Not for secrets: the point is that every process gets the same order.
    Random(seed).shuffle(numbers)  # noqa: S311
    return numbers[rank::world_size]
