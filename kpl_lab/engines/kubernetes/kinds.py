"""The kinds of objects that the engine reads or makes, and where the API has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of objects.

    Attributes
    ----------
    api
        Group and version, as ``apiVersion`` has it: ``v1``, ``batch/v1``.
    plural
        Its name in paths and in rules of RBAC.
    namespaced
        Whether it lies in a namespace.
    """

    name: str
    api: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Group as rules of RBAC name it: empty for the core."""
        return self.api.rpartition("/")[0]

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of all of its objects, or of one."""
        root = f"/apis/{self.api}" if self.group else f"/api/{self.api}"
        place = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{root}{place}/{self.plural}" + (f"/{name}" if name else "")


_ALL = (
    Kind("Pod", "v1", "pods"),
    Kind("Job", "batch/v1", "jobs"),
    Kind("Deployment", "apps/v1", "deployments"),
    Kind("StatefulSet", "apps/v1", "statefulsets"),
    Kind("Service", "v1", "services"),
    Kind("Secret", "v1", "secrets"),
    Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    Kind("Event", "v1", "events"),
    Kind("Namespace", "v1", "namespaces", namespaced=False),
    Kind("Node", "v1", "nodes", namespaced=False),
    Kind("ResourceQuota", "v1", "resourcequotas"),
    Kind("Lease", "coordination.k8s.io/v1", "leases"),
    Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    Kind("Ingress", "networking.k8s.io/v1", "ingresses"),
    Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes"),
    Kind("Gateway", "gateway.networking.k8s.io/v1", "gateways"),
    Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices"),
    Kind("PodMetrics", "metrics.k8s.io/v1beta1", "pods"),
    Kind(
        "SelfSubjectAccessReview",
        "authorization.k8s.io/v1",
        "selfsubjectaccessreviews",
        namespaced=False,
    ),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
