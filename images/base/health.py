"""Healthy: the Jupyter server of this container answers."""

from __future__ import annotations

import http.client
import os
import sys
import urllib.parse

OWN = "http://127.0.0.1:8888/"
TIMEOUT_SECONDS = 4


def main() -> int:
    """Return 0 where it is healthy; what is printed is kept by Docker (`docker inspect`)."""
    told = urllib.parse.urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL") or OWN)
    # No redirect is followed: one to the hub's sign-in page is an answer too.
    connection = http.client.HTTPConnection("127.0.0.1", told.port or 8888, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"{told.path.rstrip('/')}/api")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(error)
        return 1
    print(status)
    return int(status >= 500)


if __name__ == "__main__":
    sys.exit(main())
