"""Alembic's entry: runs our migrations on the engine that ``upgrade`` hands over."""

from __future__ import annotations

from alembic import context

from kpl_lab.platform.storage.orm import Base

engine = context.config.attributes["engine"]
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
