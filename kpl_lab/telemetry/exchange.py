"""What several processes count, in one answer: each says whose it is by the label ``process``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from kpl_lab.telemetry.catalog import PROCESS, REGISTRY


def text() -> str:
    """Return what this process has counted, to be given to another one of the platform."""
    return generate_latest(REGISTRY).decode()


class Page(NamedTuple):
    """An answer to a scraper."""

    content: bytes
    media_type: str


def page(state: Iterable[Metric], processes: Mapping[str, str], accept: str) -> Page:
    """Return the answer to a scraper.

    Parameters
    ----------
    state
        Families that are nobody's own.
    processes
        What :func:`text` returned in each process, by its name.
    accept
        The header of the request; decides between Prometheus' own format and OpenMetrics.
    """
    made: dict[str, Metric] = {family.name: family for family in state}
    for process, found in processes.items():
        for family in text_string_to_metric_families(found):
            into = made.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            into.samples += [
                sample._replace(labels={**sample.labels, PROCESS: process})
                for sample in family.samples
            ]
    registry = CollectorRegistry()
    registry.register(_Made([made[name] for name in sorted(made)]))
    encode, media_type = choose_encoder(accept)
    return Page(encode(registry), media_type)


class _Made(Collector):
    """Families that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self._families

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: nobody registers beside them."""
        return iter(())
