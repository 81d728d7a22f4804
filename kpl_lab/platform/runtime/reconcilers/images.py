"""Images of the catalog: looked at by the engine before anybody starts from them."""

from __future__ import annotations

import contextlib

from kpl_lab.engines.spec import ImageFacts, RegistryLogin
from kpl_lab.errors import EngineError, KplError, Unavailable
from kpl_lab.platform.domain import image_looks, images
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage.records.images import ImageRecord


class ImageReconciler:
    """Asks the engine what is in an image, and notes it."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, id: int) -> float | None:
        """Look at one image. One that has failed is left alone until it is changed."""
        image = await self._world.read(lambda s: s.images.get(id))
        if image is None or image.state == "failed":
            return None
        try:
            facts = await self._inspect(image)
        except Unavailable:
            raise  # the engine is away for a moment: the queue tries again
        except KplError as error:
            code, message = error.code, error.message
            await self._world.write(lambda s: image_looks.lost(s, image, code, message))
            return None
        if image.state != "ready" or _differs(image, facts):
            await self._world.write(lambda s: image_looks.found(s, image, facts))
        return None

    async def _inspect(self, image: ImageRecord) -> ImageFacts:
        stored = images.credentials_of(self._world.context, image)
        login = None if stored is None else RegistryLogin(**stored.model_dump())
        if login is not None and image.state == "ready":
            # The registry has let us in before: it may be away while we have the image.
            with contextlib.suppress(EngineError):
                return await self._world.engine.inspect_image(image.reference)
        return await self._world.engine.inspect_image(image.reference, login=login)


def _differs(image: ImageRecord, facts: ImageFacts) -> bool:
    return (image.digest, image.packages) != (facts.digest, dict(facts.packages))
