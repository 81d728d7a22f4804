"""Names that the hub and the front door have to agree on."""

from __future__ import annotations

ENTRY_POINT = "http"
"""Where users come in."""
API_ENTRY_POINT = "auth_api"
"""Where the hub asks the front door what it knows; on the loopback."""
ADMIN = "admin"
"""The one admin of a fresh installation."""
