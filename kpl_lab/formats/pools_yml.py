"""Resource pools: ``$KPL_HOME/pools.yml``, which the administrator writes.

::

    version: 1
    pools:
      - name: shared
        title: Shared machines
        per_user: {cpu: 16, memory: 65536, gpu: 1}
      - name: vision
        title: A100 80 GB
        groups: [vision]
        limits: {gpu: 8}
        idle_gpu_minutes: 60
        kubernetes:
          gpu_resource: nvidia.com/gpu
          node_selector: {nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}
          tolerations: [{key: nvidia.com/gpu, operator: Exists}]

The first pool that somebody may use is theirs where they name none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from kpl_lab.clock import SYSTEM_CLOCK, Clock
from kpl_lab.errors import Invalid
from kpl_lab.formats.yaml_marks import Place, check_keys, invalid, parse, text_of
from kpl_lab.schemas.common import Schema
from kpl_lab.schemas.pools import KubernetesPlace, Pool, Quota

FILE = "pools.yml"
_GONE_SECONDS = 30.0
_ROOT_KEYS = ("version", "pools")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_PARTS: dict[str, type[Schema]] = {
    "limits": Quota,
    "per_user": Quota,
    "kubernetes": KubernetesPlace,
}


class PoolsFile:
    """The file, read again when it has changed; while it is wrong, the last good one stays.

    So it does for a while when the file is gone: some programs write it anew in that way.

    Parameters
    ----------
    home
        ``$KPL_HOME``, which the file lies in.
    """

    def __init__(self, home: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = home / FILE
        self._clock = clock
        self._good: tuple[Pool, ...] | None = None
        self._gone_since: float | None = None

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools in the file's order; empty where there is no file.

        Raises
        ------
        Invalid
            It is wrong and was never right since this process began.
        """
        try:
            found = load_pools(self._path)
        except Invalid:
            if self._good is None:
                raise
            return self._good
        if found or not self._good:
            self._good, self._gone_since = found, None
        elif self._gone_since is None:
            self._gone_since = self._clock.monotonic()
        elif self._clock.monotonic() - self._gone_since > _GONE_SECONDS:
            self._good = found
        return self._good

    def named(self, name: str) -> Pool | None:
        """Return a pool; None where the file lists none of that name."""
        return next((one for one in self.pools if one.name == name), None)


def load_pools(path: Path) -> tuple[Pool, ...]:
    """Return the pools that a file lists; none where it does not exist.

    Raises
    ------
    Invalid
        It cannot be read, or is wrong: names file, line, key and what is allowed.
    """
    try:
        facts = path.stat()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _load(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=8)
def _load(path: Path, _modified: int, _size: int) -> tuple[Pool, ...]:
    try:
        text = text_of(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return parse_pools(text, path.name)


def _unreadable(path: Path, error: OSError) -> Invalid:
    return Invalid(f"The file of pools {path} cannot be read: {error.strerror}.", code="no_pools")


def parse_pools(text: str, file: str = FILE) -> tuple[Pool, ...]:
    """Return checked pools.

    Raises
    ------
    Invalid
        Names file, line, key and what is allowed.
    """
    root = parse(text, file)
    if root is None:
        raise invalid(file, None, "", "the file is empty; it needs `version` and `pools`.")
    found = root.mapping()
    check_keys(found, _ROOT_KEYS, file, strict=True)
    if "version" not in found or found["version"].value != 1:
        raise root.error("`version: 1` is missing; there is no other version yet.")
    if "pools" not in found or not found["pools"].value:
        raise root.error("`pools` must list at least one pool.")
    pools: list[Pool] = []
    for place in found["pools"].sequence():
        pool = _pool(place)
        if any(pool.name == other.name for other in pools):
            raise place.error(f"{pool.name!r} names two pools.")
        pools.append(pool)
    return tuple(pools)


def _pool(place: Place) -> Pool:
    found = place.mapping()
    check_keys(found, Pool.model_fields, "a pool", strict=True)
    for key in ("name", "title"):
        if key not in found:
            raise place.error(f"the key {key!r} is missing in a pool.")
    name = found["name"].word()
    if not _NAME.fullmatch(name):
        raise found["name"].error(
            f"{name!r} is no name of a pool: small letters, digits and hyphens, at most 40."
        )
    for key, model in _PARTS.items():
        if key in found:
            check_keys(found[key].mapping(), model.model_fields, f"`{key}`", strict=True)
    try:
        return Pool.model_validate({key: one.value for key, one in found.items()})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        at = found.get(str(first["loc"][0]), place)
        raise at.error(f"{where}: {first['msg']}.") from error
