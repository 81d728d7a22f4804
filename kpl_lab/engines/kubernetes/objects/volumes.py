"""What a pod's containers see, and who may write it."""

from __future__ import annotations

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects.meta import Manifest, name_of
from kpl_lab.engines.kubernetes.plan import (
    BESIDE,
    CONFIG,
    CONFIG_FILE,
    CONFIG_VOLUME,
    INPUTS,
    INSIDE,
    MOUNTS_VOLUME,
    SECRETS,
    Plan,
)
from kpl_lab.engines.spec import Kind

_GROUP_READS = 0o440
_TMP = "/tmp"  # noqa: S108 (a volume of the pod)
CLAIM, NONE = "claim", "none"
# What volumes of an administrator cannot be called.
OWN_VOLUMES = frozenset(
    ("inside", "inputs", "beside", "tmp", "secrets", "shm", "home", CONFIG_VOLUME, MOUNTS_VOLUME)
)


def has_home(plan: Plan) -> bool:
    """Say whether the pod has a home of its own, and live mounts in it."""
    return plan.workload.kind is Kind.SERVER and plan.workload.home is not None


def has_claim(plan: Plan) -> bool:
    """Say whether the home is a claim that we make."""
    return has_home(plan) and plan.shape.home_volume == CLAIM


def takes_mounts(plan: Plan) -> bool:
    """Say whether what a node agent mounts into a running pod is seen there."""
    return has_home(plan) and plan.shape.has_node_agents


def volumes(plan: Plan) -> list[Manifest]:
    """Return the volumes of a pod."""
    found = [_empty(plan, name) for name in ("inside", "inputs", "beside", "tmp")]
    found += [_secrets(plan), _secret(plan, CONFIG_VOLUME, {CONFIG_FILE: CONFIG_FILE})]
    shm = plan.workload.limits.shm_mb
    if shm > 0:
        found.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{shm}Mi"}})
    if has_home(plan):
        found += [_home(plan), _live_mounts(plan)]
    return found if _is_build(plan) else [*found, *map(dict, plan.shape.extra_volumes)]


def command_mounts(plan: Plan) -> list[Manifest]:
    """Return what the command sees: its own to write, what it was given to read."""
    found = [
        _mount("inside", INSIDE),
        _mount("inputs", INPUTS, is_read_only=True),
        _mount("secrets", SECRETS, is_read_only=True),
        {**_mount("tmp", _TMP), "subPath": "command"},
    ]
    if plan.workload.limits.shm_mb > 0:
        found.append(_mount("shm", "/dev/shm"))  # noqa: S108 (a volume of the pod)
    found += _home_mounts(plan, is_read_only=True)
    if takes_mounts(plan):
        found[-1]["mountPropagation"] = "HostToContainer"
    return found if _is_build(plan) else [*found, *map(dict, plan.shape.extra_mounts)]


def agent_mounts(plan: Plan) -> list[Manifest]:
    """Return what the agent sees: what it fills for the command, and what is its own alone."""
    return [
        _mount("inside", INSIDE),
        _mount("inputs", INPUTS),
        _mount("beside", BESIDE),
        _mount(CONFIG_VOLUME, CONFIG, is_read_only=True),
        {**_mount("tmp", _TMP), "subPath": "agent"},
        *_home_mounts(plan, is_read_only=False),
    ]


def _is_build(plan: Plan) -> bool:
    """Say whether it is one: its steps are root of their own, and see nothing of others."""
    return plan.workload.kind is Kind.BUILD


def _home_mounts(plan: Plan, *, is_read_only: bool) -> list[Manifest]:
    """Return the home and, in it, the root of the live mounts; only this may be read-only."""
    if not has_home(plan):
        return []
    home = _mount("home", plan.inner_home)
    if plan.shape.home_volume not in (CLAIM, NONE):
        home["subPath"] = plan.workload.home
    datasets = f"{plan.inner_home}/{MOUNTS_VOLUME}"
    return [home, _mount(MOUNTS_VOLUME, datasets, is_read_only=is_read_only)]


def _home(plan: Plan) -> Manifest:
    if plan.shape.home_volume == NONE:
        return _empty(plan, "home")
    claim = plan.shape.home_volume
    if has_claim(plan):
        claim = names.home_claim(plan.installation, plan.workload.home or "")
    return {"name": "home", "persistentVolumeClaim": {"claimName": claim}}


def _secrets(plan: Plan) -> Manifest:
    files = {f"secret.{index}": name for index, name in enumerate(plan.workload.secrets)}
    # A Secret without items would show all that it holds.
    return _secret(plan, "secrets", files) if files else _empty(plan, "secrets")


def _secret(plan: Plan, volume: str, files: dict[str, str]) -> Manifest:
    items = [{"key": key, "path": path} for key, path in files.items()]
    source = {"secretName": name_of(plan), "defaultMode": _GROUP_READS, "items": items}
    return {"name": volume, "secret": source}


def _empty(plan: Plan, volume: str) -> Manifest:
    most = plan.shape.scratch_mb
    return {"name": volume, "emptyDir": {"sizeLimit": f"{most}Mi"} if most else {}}


def _live_mounts(plan: Plan) -> Manifest:
    """Return where live mounts lie; a kubelet takes what a node agent shows there for the pod's own."""
    if takes_mounts(plan):
        return {"name": MOUNTS_VOLUME, "emptyDir": {}}
    return _empty(plan, MOUNTS_VOLUME)


def _mount(volume: str, path: str, *, is_read_only: bool = False) -> Manifest:
    found: Manifest = {"name": volume, "mountPath": path}
    return {**found, "readOnly": True} if is_read_only else found
