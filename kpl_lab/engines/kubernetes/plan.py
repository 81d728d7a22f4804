"""What the objects of a workload follow from: plain values, no cluster and no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kpl_lab.engines.kubernetes.names import PREFIX
from kpl_lab.engines.spec import Kind, Workload

# Places inside a pod. What the command may write lies below INSIDE; what only its agent sees, BESIDE.
INSIDE = "/kpl"
INPUTS = f"{INSIDE}/inputs"
OUTPUTS = f"{INSIDE}/outputs"
WORK = f"{INSIDE}/work"
SECRETS = f"{INSIDE}/secrets"
BESIDE = "/beside"
CONFIG = f"{BESIDE}/config"  # the agent's part of the Secret, as the file agent.json
CONFIG_FILE = "agent.json"
SPOOL = f"{BESIDE}/spool"
# Volumes that node agents look for in the kubelet's folders of a pod.
MOUNTS_VOLUME, CONFIG_VOLUME = "datasets", "config"
# Annotation of the pods in which mounts of a node agent are seen.
TAKES_MOUNTS = PREFIX + "takes-mounts"
# The account of images/builder, to which its /etc/subuid and /etc/subgid give others of a range.
BUILDER_USER = 1000


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How an administrator wants pods to be; see ``KubernetesOptions`` for the meanings."""

    base_image: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: Sequence[str] = ()
    user_id: int = 1000
    storage_class: str = ""
    home_mb: int = 10 * 1024
    home_volume: str = "claim"
    scratch_mb: int = 0
    gpu_resource: str = "nvidia.com/gpu"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    runtime_class: str = ""
    priority_class: str = ""
    queue: str = ""
    cpu_request_share: int = 25
    agent_memory_mb: int = 256
    agent_port: int = 17170
    send_seconds: int = 3600
    keep_seconds: int = 86400
    has_node_agents: bool = False
    home_access_mode: str = "ReadWriteOnce"
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    pod_annotations: Mapping[str, str] = field(default_factory=dict)
    extra_volumes: Sequence[Mapping[str, Any]] = ()
    extra_mounts: Sequence[Mapping[str, Any]] = ()
    supplemental_groups: Sequence[int] = ()
    registry: str = ""

    def pull_policy_of(self, image: str, installation: str) -> str:
        """Return when nodes pull an image.

        What was built here is in the registry alone, under a name that is made of its content: nodes that
        are to pull nothing pull that.
        """
        is_built = self.registry and image.startswith(
            f"{self.registry.rstrip('/')}/{installation}:"
        )
        return "IfNotPresent" if is_built and self.pull_policy == "Never" else self.pull_policy


@dataclass(frozen=True, kw_only=True)
class Build:
    """How the pod of a build is, beside its recipe, which it fetches.

    Attributes
    ----------
    image
        Of the builder; see ``images/builder``.
    registry_secret
        Secret of the type ``kubernetes.io/dockerconfigjson`` with logins; empty: there is none.
    push_login
        The same for where one result is sent besides, as JSON text; empty: it needs none.
    seccomp
        Profile below the kubelet's folder of profiles; empty: what nodes do by themselves.
    """

    image: str
    registry_secret: str = ""
    push_login: str = field(default="", repr=False)
    seccomp: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One workload to be.

    Attributes
    ----------
    installation
        Id of the installation.
    port
        Where a service or server listens, in its own network; None for tasks.
    agent
        What the agent of each pod is told, as plain JSON values (``AgentConfig``).
    build
        Of builds alone.
    """

    installation: str
    namespace: str
    workload: Workload
    shape: Shape
    port: int | None
    agent: Mapping[str, Any]
    build: Build | None = None

    @property
    def inner_home(self) -> str:
        """Where the home is inside."""
        home = self.workload.home
        return f"{INSIDE}/home" if home is None else home_inside(home)

    @property
    def serves(self) -> bool:
        """Whether it listens on a port and is watched for that."""
        return self.workload.kind in (Kind.SERVICE, Kind.SERVER)

    @property
    def starts_together(self) -> bool:
        """Whether the command starts with its agent and not after it: nothing has to be there before.

        A kubelet begins what waits for a sidecar a second or two later; that is for whoever waits
        before a screen.
        """
        workload = self.workload
        is_server = workload.kind is Kind.SERVER and workload.home is not None
        return is_server and not workload.inputs and workload.code is None

    @property
    def is_numbered(self) -> bool:
        """Whether its pods are given numbers by Kubernetes: those of a Job with several replicas."""
        return self.workload.kind in (Kind.TASK, Kind.BUILD) and self.workload.replicas > 1


def home_inside(home: str) -> str:
    """Return where a persistent home is inside a pod.

    A path there may not hold a colon; it is the only home there, so nothing is mixed up.
    """
    return f"/home/{home.replace(':', '_')}"
