"""Waiting again: growing, bounded, and fresh for every use."""

from __future__ import annotations

from itertools import islice

from kpl_lab.retry import backoff


def test_waits_grow_to_the_bound_and_are_spread() -> None:
    waits = list(islice(backoff(1, factor=2, max_seconds=8), 50))
    assert all(0.75 <= w <= 10 for w in waits)
    assert 0.75 <= waits[0] <= 1.25
    assert min(waits[5:]) >= 6
    assert len(set(waits[5:])) > 1


def test_every_use_begins_anew() -> None:
    list(islice(backoff(1, max_seconds=60), 10))
    assert next(backoff(1, max_seconds=60)) <= 1.25
