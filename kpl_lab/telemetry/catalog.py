"""The one list of what is measured: names, kinds, labels and a sentence for each.

Names follow https://prometheus.io/docs/practices/naming/. Labels take few values, and none that users
choose: no names, no ids, no paths.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily

PREFIX = "kpl_lab_"
PROCESS = "process"
"""Label of what a process counts about itself: ``platform``, ``controller`` or ``runner``."""

# Of each series, when it was begun: as many series again, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Entry:
    """One metric.

    Attributes
    ----------
    name
        As Prometheus keeps it, without what a histogram appends.
    kind
        ``counter``, ``gauge`` or ``histogram``.
    text
        What it says, as a sentence.
    labels
        All that its series have.
    """

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()

    def family(self) -> GaugeMetricFamily:
        """Return an empty family of a gauge, to be filled at a scrape."""
        return GaugeMetricFamily(self.name, self.text, labels=self.labels)


ENTRIES: dict[str, Entry] = {}
REGISTRY = CollectorRegistry(auto_describe=True)
"""What this process counts; not the library's own, in which others count too."""


def _add(name: str, kind: str, text: str, labels: tuple[str, ...]) -> Entry:
    entry = ENTRIES[name] = Entry(name, kind, text, labels)
    return entry


def counter(name: str, text: str, *labels: str) -> Counter:
    """Return a counter of this process; ``name`` ends with ``_total``."""
    _add(PREFIX + name, "counter", text, (*labels, PROCESS))
    return Counter(PREFIX + name, text, labels, registry=REGISTRY)


def gauge(name: str, text: str, *labels: str) -> Gauge:
    """Return a gauge of this process."""
    _add(PREFIX + name, "gauge", text, (*labels, PROCESS))
    return Gauge(PREFIX + name, text, labels, registry=REGISTRY)


def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
    """Return a histogram of this process."""
    _add(PREFIX + name, "histogram", text, (*labels, PROCESS))
    return Histogram(PREFIX + name, text, labels, registry=REGISTRY, buckets=buckets)


def state(name: str, text: str, *labels: str) -> Entry:
    """Return a gauge that is read somewhere else at each scrape."""
    return _add(PREFIX + name, "gauge", text, labels)


for _family in ProcessCollector(namespace=PREFIX.rstrip("_"), registry=REGISTRY).collect():
    _is_counter = _family.type == "counter"
    _name = f"{_family.name}_total" if _is_counter else _family.name
    _add(_name, _family.type, _family.documentation, (PROCESS,))
