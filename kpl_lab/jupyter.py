"""Jupyter's programs, started without a part that they do not use.

``jsonschema`` checks the formats ``iri`` and ``iri-reference`` with ``rfc3987_syntax``, which compiles
a grammar when it is imported: half the time that a hub or a notebook server takes to start, for
formats that no schema of theirs names. Where it cannot be imported, jsonschema goes without.

``python -m kpl_lab.jupyter`` is ``jupyterhub``; :func:`singleuser` is ``jupyterhub-singleuser``.
"""

from __future__ import annotations

import sys

_UNUSED = "rfc3987_syntax"


def leave_out() -> None:
    """Let what is not used not be imported in this process; before anything of Jupyter is."""
    # As the import system has it: https://docs.python.org/3/library/sys.html#sys.modules
    sys.modules.setdefault(_UNUSED, None)  # type: ignore[arg-type] # typeshed knows modules alone


def hub() -> None:
    """Run JupyterHub."""
    leave_out()
    from jupyterhub.app import main

    main()


def singleuser() -> None:
    """Run a notebook server of JupyterHub's."""
    leave_out()
    from jupyterhub.singleuser import main

    main()


if __name__ == "__main__":
    hub()
