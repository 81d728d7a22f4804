"""A typed, synchronous client of the platform's API; the ``kpl`` command is made of it.

>>> from kpl_lab.client import connect
>>> client = connect()                                    # doctest: +SKIP
>>> client.datasets.create("digits", "pictures/").records   # doctest: +SKIP
1797

One attribute per resource (``client.datasets``, ``client.tasks``, …); answers are the models of
``kpl_lab.schemas``, failures the errors of ``kpl_lab.errors``.
"""

from kpl_lab.client.client import Client, connect
from kpl_lab.client.credentials import Credentials, find_credentials

__all__ = ["Client", "Credentials", "connect", "find_credentials"]
