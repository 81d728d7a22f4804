"""The namespace in which everything runs."""

from __future__ import annotations

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.words import Clash, Refused
from kpl_lab.errors import EngineError

# https://kubernetes.io/docs/concepts/security/pod-security-standards/
_ENFORCE, _WARN = "pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/warn"
_FORBIDDEN = 403


async def ensure_namespace(cluster: Cluster, standard: str = "restricted") -> None:
    """Make the namespace where it is missing, held to a pod security standard.

    One that is there stays as it is, and need not be visible to us.

    Parameters
    ----------
    standard
        ``restricted``, or ``baseline`` where images are built.

    Raises
    ------
    EngineError
        It is missing and we may not make it, or is being deleted.
    """
    try:
        found = await cluster.get("Namespace", cluster.namespace)
    except Refused as error:
        if error.detail["status"] == _FORBIDDEN:
            return  # an account of the namespace alone sees what is in it
        if error.code != "namespace_missing":
            raise
        found = None
    if found is None:
        held = {_ENFORCE: standard, _WARN: standard}
        metadata = {"name": cluster.namespace, "labels": {**names.MANAGED_BY, **held}}
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        try:
            await cluster.create(made)
        except Clash:
            return
    elif (found.get("status") or {}).get("phase") == "Terminating":
        raise EngineError(
            f"The namespace {cluster.namespace} is being deleted; wait until it is gone, or set "
            "another one in KubernetesOptions.namespace.",
            code="namespace_terminating",
        )
