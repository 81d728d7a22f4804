"""The HTTP API: one module per resource; this is the one list of them."""

from __future__ import annotations

from fastapi import APIRouter

from kpl_lab.platform.api import (
    algorithms,
    builds,
    datasets,
    events,
    health,
    images,
    metrics,
    models,
    servers,
    services,
    tasks,
    uploads,
)

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    uploads.router,
    datasets.router,
    models.router,
    algorithms.router,
    tasks.router,
    services.router,
    images.router,
    builds.router,
    servers.router,
    events.router,
    metrics.router,
)

# Routes that answer without a token, on purpose.
PUBLIC_PATHS = ("/healthz", "/readyz", "/version")
# Routes that the front door asks on behalf of anybody, and that look at who it is by themselves.
FRONT_DOOR_PATHS = (
    "/internal/no-replica",
    "/internal/no-service",
    "/internal/authorize/{id}",
    "/internal/metrics",
)
