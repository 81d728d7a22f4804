"""An engine that runs nothing, for demos and for tests of everything above the engines."""

from kpl_lab.engines.fake.engine import FakeEngine
from kpl_lab.engines.fake.script import Script, Stage

__all__ = ["FakeEngine", "Script", "Stage"]
