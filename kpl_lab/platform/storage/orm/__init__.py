"""The tables. Importing this package knows them all, as migrations need it."""

from kpl_lab.platform.storage.orm.base import Base
from kpl_lab.platform.storage.orm.workspaces import (
    EventRow,
    IdempotencyRow,
    TokenRow,
    WorkspaceRow,
)

__all__ = ["Base", "EventRow", "IdempotencyRow", "TokenRow", "WorkspaceRow"]
