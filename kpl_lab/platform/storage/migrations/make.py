"""Writes ``0001_initial`` from the models; of use only until the first release."""

from __future__ import annotations

import tempfile
from pathlib import Path

from alembic import command

from kpl_lab.platform.storage.database import open_engine
from kpl_lab.platform.storage.upgrade import MIGRATIONS, alembic_config

INITIAL = MIGRATIONS / "versions" / "0001_initial.py"


def main() -> None:
    """Replace the initial migration by one that makes today's tables."""
    INITIAL.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'empty.sqlite'}")
        command.revision(
            alembic_config(engine), message="initial", rev_id="0001", autogenerate=True
        )
        engine.dispose()


if __name__ == "__main__":
    main()
