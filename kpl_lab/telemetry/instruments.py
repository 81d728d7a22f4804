"""What processes count while they work; each counts for itself, from its start on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from kpl_lab.errors import KplError, Unavailable
from kpl_lab.telemetry.catalog import counter, gauge, histogram

# Of answers: from a few milliseconds to what no page waits for.
_ANSWERS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_QUEUES = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 604800.0)

HTTP_REQUESTS = counter(
    "http_requests_total",
    "Requests to the API, by the route's template and the class of the status.",
    "method",
    "route",
    "status",
)
HTTP_SECONDS = histogram(
    "http_request_duration_seconds",
    "Seconds from a request to the API until its answer begins.",
    "method",
    "route",
    buckets=_ANSWERS,
)
TASK_WAITS = histogram(
    "task_wait_seconds",
    "Seconds that a task waited in the queue until there was room for it.",
    buckets=_QUEUES,
)
TASKS_ENDED = counter(
    "tasks_ended_total",
    "Tasks that ended, by their last state and, where they failed, the reason of the fault dictionary.",
    "state",
    "reason",
)
SERVER_SPAWNS = histogram(
    "server_spawn_seconds",
    "Seconds from the wish for a notebook server until it answers, waiting for room included.",
    buckets=_LONG,
)
SERVERS_ENDED = counter(
    "servers_ended_total",
    "Notebook servers that ended, by their last state and the reason.",
    "state",
    "reason",
)
BUILD_SECONDS = histogram(
    "build_duration_seconds",
    "Seconds from the order of a build to its end, by how it ended; what was there already is left out.",
    "state",
    buckets=_LONG,
)
RECONCILES = counter(
    "controller_reconciles_total",
    "Looks of the controller at one thing: ok, error (tried again), or defect (a fault of the platform).",
    "resource",
    "result",
)
RECONCILE_SECONDS = histogram(
    "controller_reconcile_duration_seconds",
    "Seconds of one look of the controller.",
    "resource",
    buckets=_ANSWERS,
)
QUEUE_DEPTH = gauge(
    "controller_queue_depth",
    "Things that wait for a look of the controller, by its queue.",
    "queue",
)
ENGINE_CALLS = counter(
    "engine_calls_total",
    "Calls of the engine's runner: ok, error, away (it did not answer), or cut (the caller ended).",
    "call",
    "result",
)
ENGINE_SECONDS = histogram(
    "engine_call_duration_seconds",
    "Seconds of a call of the engine's runner.",
    "call",
    buckets=_ANSWERS,
)
KUBERNETES_REQUESTS = counter(
    "kubernetes_requests_total",
    "Requests of the runner to the cluster's API server, each try for itself; status none: no answer.",
    "verb",
    "resource",
    "status",
)
KUBERNETES_SECONDS = histogram(
    "kubernetes_request_duration_seconds",
    "Seconds until the cluster's API server began to answer.",
    "verb",
    buckets=_ANSWERS,
)


@contextmanager
def engine_call(call: str) -> Iterator[None]:
    """Count a call of the runner, and how it ends."""
    began = time.perf_counter()
    result = "ok"
    try:
        yield
    except Unavailable:
        result = "away"
        raise
    except Exception:
        result = "error"
        raise
    except BaseException:
        result = "cut"
        raise
    finally:
        ENGINE_CALLS.labels(call, result).inc()
        ENGINE_SECONDS.labels(call).observe(time.perf_counter() - began)


@contextmanager
def reconcile(resource: str) -> Iterator[None]:
    """Count a look of the controller at one thing, and how it ends."""
    began = time.perf_counter()
    result = "ok"
    try:
        yield
    except KplError:
        result = "error"
        raise
    except Exception:
        result = "defect"
        raise
    finally:
        RECONCILES.labels(resource, result).inc()
        RECONCILE_SECONDS.labels(resource).observe(time.perf_counter() - began)


class KubernetesRequest:
    """One try of a request to the API server."""

    def __init__(self, verb: str, resource: str) -> None:
        self._verb, self._resource = verb, resource
        self._began = time.perf_counter()
        self._is_counted = False

    def ended(self, status: str = "none") -> None:
        """Count it with what was answered first."""
        if self._is_counted:
            return
        self._is_counted = True
        KUBERNETES_REQUESTS.labels(self._verb, self._resource, status).inc()
        KUBERNETES_SECONDS.labels(self._verb).observe(time.perf_counter() - self._began)
