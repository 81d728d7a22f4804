"""Which engines there are: entry points of the group ``kpl_lab.engines``, and our own."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from kpl_lab.engines.base import Engine
from kpl_lab.errors import Invalid
from kpl_lab.settings import Settings

GROUP = "kpl_lab.engines"

# Named here too, so that a checkout that was never installed has its own engines.
_OWN = (
    EntryPoint("local", "kpl_lab.engines.local.engine:LocalEngine.from_settings", GROUP),
    EntryPoint("docker", "kpl_lab.engines.docker.engine:DockerEngine.from_settings", GROUP),
    EntryPoint(
        "kubernetes", "kpl_lab.engines.kubernetes.engine:KubernetesEngine.from_settings", GROUP
    ),
    EntryPoint("fake", "kpl_lab.engines.registry:create_fake", GROUP),
)


def engine_names() -> list[str]:
    """Return the names that :func:`create_engine` knows, sorted."""
    return sorted({point.name for point in (*_OWN, *entry_points(group=GROUP))})


def create_engine(settings: Settings) -> Engine:
    """Return the engine that ``settings`` name.

    An engine's entry point is a callable that takes the :class:`Settings` and returns the engine.

    Raises
    ------
    Invalid
        No engine has this name, or it cannot be loaded (a missing extra).
    """
    points = {point.name: point for point in (*_OWN, *entry_points(group=GROUP))}
    point = points.get(settings.engine)
    if point is None:
        raise Invalid(
            f"There is no engine {settings.engine!r}; installed are: {', '.join(engine_names())}.",
            code="unknown_engine",
        )
    try:
        create = point.load()
    except ImportError as error:
        raise Invalid(
            f"The engine {settings.engine!r} cannot be loaded ({error}); install its extra.",
            code="engine_not_installed",
        ) from error
    engine: Engine = create(settings)
    return engine


def create_fake(settings: Settings) -> Engine:
    """Return the in-memory engine, for demos."""
    del settings
    from kpl_lab.engines.fake import FakeEngine

    return FakeEngine()
