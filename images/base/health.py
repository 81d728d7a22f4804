"""Healthy: the Jupyter server of this container answers."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.parse
import urllib.request

OWN = "http://127.0.0.1:8888/"
TIMEOUT_SECONDS = 4


def address() -> str:
    """Return where it answers everybody: the version that it has."""
    told = urllib.parse.urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL") or OWN)
    return f"http://127.0.0.1:{told.port or 8888}{told.path.rstrip('/')}/api"


def main() -> int:
    """Return 0 where it is healthy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address(), timeout=TIMEOUT_SECONDS) as answer:
            return int(answer.status != 200)
    except (urllib.error.URLError, OSError) as error:
        print(error)  # kept by Docker: `docker inspect` shows it
        return 1


if __name__ == "__main__":
    sys.exit(main())
