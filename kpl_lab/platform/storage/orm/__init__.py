"""The tables. Importing this package knows them all, as migrations need it."""

from kpl_lab.platform.storage.orm import assets, images, work, workspaces
from kpl_lab.platform.storage.orm.base import Base

__all__ = ["Base", "assets", "images", "work", "workspaces"]
