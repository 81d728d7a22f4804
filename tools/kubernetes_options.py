"""``python -m tools.kubernetes_options``: the Kubernetes engine's options, as a page of the reference.

It is committed as ``docs/reference/kubernetes-options.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, Enum, Float, Int, List, TraitType, Unicode

from kpl_lab import __version__
from kpl_lab.engines.kubernetes.options import KubernetesOptions
from kpl_lab.engines.running.options import RunningOptions

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "docs" / "reference" / "kubernetes-options.md"
# Kubelets limit processes, and wait before restarts as they see fit.
WITHOUT_EFFECT = ("processes_max", "restart_first_seconds", "restart_last_seconds")
_HEAD = """\
# Options of the Kubernetes engine

<!-- Made by `python -m tools.kubernetes_options`; do not edit. -->

They are traits of `KubernetesOptions`. Set them in `$KPL_HOME/kubernetes_engine.py`
([run on a cluster](../howto/run-on-a-cluster.md)):

```python
c.KubernetesOptions.keep_seconds = 3600
```

or as `workloads.options` of the chart ([install on Kubernetes](../howto/install-kubernetes.md)):

```yaml
workloads:
  options:
    keep_seconds: 3600
```

Where the chart has a value of its own for one, the last column names it; `workloads.options` wins over it,
`config.kubernetesEngine` over both. Of resource pools, `node_selector` and `tolerations` come in addition, `gpu_resource`,
`runtime_class`, `priority_class` and `queue` in their place ([pools](../howto/share-machines-in-pools.md)).
"""
_TABLE = """\
| option | type | default | | value of the chart |
|---|---|---|---|---|
"""
_SHARED = f"""\
## As on the other engines

{", ".join(f"`{name}`" for name in WITHOUT_EFFECT[:-1])} and `{WITHOUT_EFFECT[-1]}` of the other engines have no effect here: kubelets limit processes, and
wait before restarts by themselves.
"""
# A test compares them with what the chart sets.
OF_CHART = {
    "namespace": "workloads.namespace",
    "gate_port": "gate.port",
    "base_image": "workloads.image",
    "pull_policy": "workloads.pullPolicy",
    "pull_secrets": "image.pullSecrets",
    "user_id": "account",
    "storage_class": "workloads.storageClass",
    "home_mb": "workloads.homeMb",
    "home_volume": "workloads.homes",
    "gpu_resource": "workloads.gpuResource",
    "node_token_file": "nodeAgent.enabled",
    "node_selector": "workloads.nodeSelector",
    "tolerations": "workloads.tolerations",
    "queue": "workloads.queue",
    "routes": "services.routes",
    "route_parents": "httpRoute.parentRefs",
    "route_hosts": "httpRoute.hostnames",
    "route_from": "services.callers",
    "ingress_class": "ingress.className",
    "ingress_annotations": "services.ingress.annotations",
    "ingress_path": "services.ingress.path",
    "ingress_path_type": "services.ingress.pathType",
    "builder_image": "workloads.builderImage",
    "registry": "workloads.registry",
}
_PLAIN: dict[type[TraitType[Any, Any]], str] = {
    Bool: "`True` or `False`",
    Int: "whole number",
    Float: "number",
    Unicode: "text",
    Dict: "mapping",
    List: "list",
}


def text() -> str:
    """Return the page."""
    own = [name for name in vars(KubernetesOptions) if _is_option(name)]
    shared = [
        name
        for name in vars(RunningOptions)
        if _is_option(name) and name not in (*own, *WITHOUT_EFFECT)
    ]
    return f"{_HEAD}\n{_TABLE}{_rows(own)}\n{_SHARED}\n{_TABLE}{_rows(shared)}"


def _is_option(name: str) -> bool:
    return name in KubernetesOptions.class_traits(config=True)


def _rows(names: list[str]) -> str:
    traits = KubernetesOptions.class_traits(config=True)
    return "".join(_row(name, traits[name]) for name in names)


def _row(name: str, trait: TraitType[Any, Any]) -> str:
    value = f"`{OF_CHART[name]}`" if name in OF_CHART else ""
    return f"| `{name}` | {_type(trait)} | {_default(trait)} | {trait.help} | {value} |\n"


def _type(trait: TraitType[Any, Any]) -> str:
    if isinstance(trait, Enum):
        return ", ".join(f"`{one}`" for one in trait.values or ())
    found = next(said for kind, said in _PLAIN.items() if isinstance(trait, kind))
    # The traits inside are told by nothing else.
    inner = getattr(trait, "_trait" if isinstance(trait, List) else "_value_trait", None)
    if isinstance(inner, TraitType):
        return f"{found} of {_type(inner)}s"
    if isinstance(trait, Int) and trait.max is not None:
        return f"{found}, {trait.min} to {trait.max}"
    return found


def _default(trait: TraitType[Any, Any]) -> str:
    value = trait.default()
    if value in ("", [], {}):
        return ""
    return f"`{value!s}`".replace(__version__, "<version>")


def main() -> None:
    """Write the page."""
    COMMITTED.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
