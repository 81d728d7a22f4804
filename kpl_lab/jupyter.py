"""Jupyter's programs, started without the parts that they do not use.

``jsonschema`` checks the formats ``iri`` and ``iri-reference`` with ``rfc3987_syntax``, which compiles
a grammar when it is imported: half the time that a hub or a notebook server takes to start, for
formats that no schema of theirs names. ``isoduration``, for ``duration``, imports ``arrow``. Where they
cannot be imported, jsonschema goes without; so does ``httpx`` without its command line, which takes
``rich`` and ``click`` along. They cannot while jsonschema and httpx are imported, and can afterwards.

A notebook server uses a few functions of JupyterHub's that lie beside the hub's own: its log and its
access checks import the hub's pages, database and roles, with SQLAlchemy and Alembic. While these two
are imported (:func:`without_the_hub`), stand-ins take the place of what only the hub uses, and are
gone from ``sys.modules`` afterwards: whoever imports SQLAlchemy in the server then gets SQLAlchemy.
What was imported keeps the stand-ins, and each becomes the real module when it is used.

JupyterLab looks up its own version while it is imported, in a way that has Yarn tell its settings, of
which the version needs none: where there is Node, that takes longer than the import. Yarn is not asked then.

``python -m kpl_lab.jupyter`` is ``jupyterhub``; :func:`singleuser` is ``jupyterhub-singleuser``.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

Unused = Mapping[str, Sequence[str]]
Decorator = Callable[[Any], Any]

# What goes without what.
_OF_BOTH: Unused = {"jsonschema": ("rfc3987_syntax", "isoduration")}
_OF_A_SERVER: Unused = {"httpx": ("httpx._main",)}
# What a notebook server uses of JupyterHub's, and what of the hub alone that imports.
_USED = ("jupyterhub.log", "jupyterhub.services.auth")
_LAB = "jupyterlab.labapp"
_PAGES, _ERRORS = "jupyterhub.handlers.pages", "sqlalchemy.exc"
_OF_THE_HUB = ("sqlalchemy", _ERRORS, "jupyterhub.orm", "jupyterhub.roles", _PAGES)


def leave_out(unused: Unused = _OF_BOTH) -> None:
    """Import modules without what they can do without; before anything of Jupyter is imported."""
    for name, parts in unused.items():
        # As the import system has it: https://docs.python.org/3/library/sys.html#sys.modules
        absent = {part: None for part in parts if part not in sys.modules}
        sys.modules.update(absent)  # type: ignore[arg-type] # typeshed knows modules alone
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
        for part in absent:
            del sys.modules[part]


class _Later(ModuleType):
    """Stands for a module; whatever is asked of it is the real one's, which is imported then."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - anything of the module's
        if sys.modules.get(self.__name__) is self:
            if name.startswith("__"):  # by the import system
                raise AttributeError(name)
            stand_in = _STAND_INS.get((_importer(), self.__name__, name))
            if stand_in is not None:
                return stand_in
            # Something is otherwise than in the JupyterHub that this was made for.
            _remove_stand_ins()
        return getattr(importlib.import_module(self.__name__), name)


class _Page(type):
    def __instancecheck__(cls, value: object) -> bool:
        real = getattr(sys.modules.get(_PAGES), cls.__name__, None)
        return real is not None and isinstance(value, real)


class HealthCheckHandler(metaclass=_Page):
    """What the log asks of each request: nothing is one before the hub's pages are imported."""


class SQLAlchemyError(Exception):
    """What ``catch_db_error`` catches; it gets the real one before it is used."""


_STAND_INS = {
    ("jupyterhub.log", _PAGES, "HealthCheckHandler"): HealthCheckHandler,
    ("jupyterhub.utils", _ERRORS, "SQLAlchemyError"): SQLAlchemyError,
}


def _importer() -> str:
    """Return which module asks a stand-in for something."""
    return str(sys._getframe(2).f_globals.get("__name__"))  # noqa: SLF001 - as warnings has it


def _remove_stand_ins() -> None:
    for name in _OF_THE_HUB:
        if isinstance(sys.modules.get(name), _Later):
            del sys.modules[name]


@contextlib.contextmanager
def without_the_hub() -> Iterator[None]:
    """Let JupyterHub's modules be imported without the hub's own; for a notebook server alone."""
    for name in _OF_THE_HUB:
        sys.modules.setdefault(name, _Later(name))
    try:
        yield
    finally:
        _remove_stand_ins()
        _mend_utils()


def _mend_utils() -> None:
    """Have the one function that catches errors of the database catch the real ones."""
    utils = sys.modules.get("jupyterhub.utils")
    if getattr(utils, "SQLAlchemyError", None) is not SQLAlchemyError:
        return
    decorate: Decorator | None = getattr(utils, "catch_db_error", None)

    def real() -> None:
        error = importlib.import_module(_ERRORS).SQLAlchemyError
        setattr(utils, "SQLAlchemyError", error)  # noqa: B010 - mypy knows no such attribute

    if decorate is None:
        real()
        return

    @functools.wraps(decorate)
    def catch_db_error(method: Any) -> Any:  # noqa: ANN401 - as what it stands before
        real()
        return decorate(method)

    setattr(utils, "catch_db_error", catch_db_error)  # noqa: B010 - as above


def import_for_singleuser() -> None:
    """Import what a notebook server uses of JupyterHub, without what it does not."""
    leave_out({**_OF_BOTH, **_OF_A_SERVER})
    # What cannot be imported so is imported in full by JupyterHub's own program, or it says why not.
    with without_the_hub(), contextlib.suppress(Exception):
        for name in _USED:
            importlib.import_module(name)
    with contextlib.suppress(ImportError, AttributeError):
        _leave_node_alone(importlib.import_module("jupyterlab.commands"))


def _leave_node_alone(commands: Any) -> None:  # noqa: ANN401 - JupyterLab has no types
    """Let JupyterLab's application be imported without Node; whatever else asks for Yarn's words gets them."""
    ask = commands._yarn_config  # noqa: SLF001 - it has no other name

    @functools.wraps(ask)
    def yarn_config(logger: object) -> Any:  # noqa: ANN401 - as what it stands before
        lab = sys.modules.get(_LAB)
        is_being_imported = lab is not None and not hasattr(lab, "LabApp")
        return {"yarn config": {}, "npm config": {}} if is_being_imported else ask(logger)

    commands._yarn_config = yarn_config  # noqa: SLF001 - as above


def hub() -> None:
    """Run JupyterHub."""
    leave_out()
    from jupyterhub.app import main

    main()


def singleuser() -> None:
    """Run a notebook server of JupyterHub's."""
    # What is imported stays to the end: looking through it for garbage takes a tenth of the start.
    gc.disable()
    import_for_singleuser()
    from jupyterhub.singleuser import main

    gc.freeze()
    gc.enable()
    main()


if __name__ == "__main__":
    hub()
