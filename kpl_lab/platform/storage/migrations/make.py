"""Writes the next migration: ``python -m kpl_lab.platform.storage.migrations.make WORDS``.

It holds what the models have beyond the migrations that are there; read it before it is committed,
and add its entry to ``NOTES.md``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command

from kpl_lab.platform.storage.database import open_engine
from kpl_lab.platform.storage.upgrade import MIGRATIONS, alembic_config


def main(words: list[str]) -> None:
    """Write the migration from the present head to today's models."""
    number = len(list((MIGRATIONS / "versions").glob("[0-9]*.py"))) + 1
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'head.sqlite'}")
        config = alembic_config(engine)
        command.upgrade(config, "head")
        command.revision(config, " ".join(words), rev_id=f"{number:04d}", autogenerate=True)
        engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1:])
