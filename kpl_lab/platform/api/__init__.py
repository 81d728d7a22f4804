"""The HTTP API: one module per resource; this is the one list of them."""

from __future__ import annotations

from fastapi import APIRouter

from kpl_lab.platform.api import health

ROUTERS: tuple[APIRouter, ...] = (health.router,)

# Routes that answer without a token, on purpose.
PUBLIC_PATHS = ("/healthz", "/readyz", "/version")
