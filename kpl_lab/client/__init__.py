"""A typed, synchronous client of the platform's API; the ``kpl`` command is made of it.

>>> from kpl_lab.client import connect
>>> client = connect()                                    # doctest: +SKIP
>>> client.datasets.create("digits", "pictures/").records   # doctest: +SKIP
1797

One attribute per resource (``client.datasets``, ``client.tasks``, …); answers are the models of
``kpl_lab.schemas``, failures the errors of ``kpl_lab.errors``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kpl_lab.client.credentials import Credentials, find_credentials

if TYPE_CHECKING:
    from kpl_lab.client.client import Client, connect

__all__ = ["Client", "Credentials", "connect", "find_credentials"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as modules have it
    # The client imports all schemas, which whoever looks for credentials alone does not need.
    if name in ("Client", "connect"):
        from kpl_lab.client import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
