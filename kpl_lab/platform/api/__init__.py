"""The HTTP API: one module per resource; this is the one list of them."""

from __future__ import annotations

from fastapi import APIRouter

from kpl_lab.platform.api import algorithms, datasets, health, models, uploads

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    uploads.router,
    datasets.router,
    models.router,
    algorithms.router,
)

# Routes that answer without a token, on purpose.
PUBLIC_PATHS = ("/healthz", "/readyz", "/version")
