"""Is it there, does it work, who am I."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from kpl_lab import __version__
from kpl_lab.errors import Unavailable
from kpl_lab.platform.api.deps import ContextDep, any_caller
from kpl_lab.platform.auth import Caller
from kpl_lab.schemas.servers import Me, VersionView

router = APIRouter(tags=["platform"])
API_VERSION = "1"


@router.get("/healthz")
# Asynchronous: it needs none of the threads, which requests may all hold.
async def healthz() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(context: ContextDep) -> dict[str, str]:
    """Tell that the database answers too, and that the image catalog was read."""
    with context.database.store(reads_only=True) as store:
        images = store.images.of_file()
    if not images or any(one.state == "preparing" for one in images):
        raise Unavailable(
            "The image catalog has not been read yet; the controller does that as it starts.",
            code="catalog_not_read",
        )
    return {"status": "ready"}


@router.get("/version")
def version(context: ContextDep) -> VersionView:
    """Return what answers here."""
    return VersionView(version=__version__, api_version=API_VERSION, engine=context.settings.engine)


@router.get("/me")
def me(caller: Annotated[Caller, Depends(any_caller)]) -> Me:
    """Return who the caller is and what they may do."""
    return Me(
        name=caller.name, admin=caller.is_admin, scopes=sorted(caller.scopes), kind=caller.kind
    )
