"""Where the parts of a replica lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """The folders of one replica; ``inside`` and below belong to its account."""

    root: Path

    @property
    def inside(self) -> Path:
        """All that the workload may write, but for a persistent home."""
        return self.root / "inside"

    @property
    def work(self) -> Path:
        """Its private copy of the code."""
        return self.inside / "work"

    @property
    def home(self) -> Path:
        """Its private home."""
        return self.inside / "home"

    @property
    def inputs(self) -> Path:
        """One folder per input key."""
        return self.inside / "inputs"

    @property
    def outputs(self) -> Path:
        """One folder per output key."""
        return self.inside / "outputs"

    @property
    def secrets(self) -> Path:
        """One file per secret."""
        return self.inside / "secrets"

    @property
    def tmp(self) -> Path:
        """What it sees as ``/tmp``."""
        return self.inside / "tmp"

    @property
    def relay(self) -> Path:
        """Configuration, log and spool of the relay; belongs to the platform's account."""
        return self.root / "relay"

    @property
    def memory_events(self) -> Path:
        """How often its supervisor has killed in it for memory, as the kernel's file of that name."""
        return self.root / "memory.events"

    @property
    def log(self) -> Path:
        """What the command has printed."""
        return self.root / "log"

    @property
    def stop(self) -> Path:
        """Written by the runner before it asks for the end: seconds of grace."""
        return self.root / "stop"

    def grace_asked(self, usual: float) -> float | None:
        """Return the seconds of grace of a stop that was asked for; None where none was.

        Parameters
        ----------
        usual
            For a file that cannot be read.
        """
        try:
            return float(self.stop.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return usual
