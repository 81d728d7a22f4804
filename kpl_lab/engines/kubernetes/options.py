"""Settings of the Kubernetes engine: traits, set in a file.

``$KPL_HOME/kubernetes_engine.py`` is read when it exists, for example
``c.KubernetesOptions.storage_class = "fast"``. What ``kpl-lab up`` takes from variables
(``KUBECONFIG``, ``KPL_CONNECT_HOST``, ``KPL_IMAGE``, ``KPL_IMAGE_PULL_POLICY``, ``KPL_REGISTRY``,
``KPL_BUILDER_IMAGE``, ``KPL_INSECURE_REGISTRIES``) wins over defaults, and the file over both.
"""

from __future__ import annotations

from pathlib import Path

from traitlets import Bool, Dict, Enum, Int, List, Unicode

from kpl_lab import __version__
from kpl_lab.cluster_settings import ClusterSettings
from kpl_lab.engines.kubernetes.objects.volumes import OWN_VOLUMES
from kpl_lab.engines.running import options
from kpl_lab.errors import Invalid
from kpl_lab.settings import Home, own_image

FILE_NAME = "kubernetes_engine.py"
_ROUTES_NEED = {
    "gateway": ("route_parents",),
    "ingress": ("route_hosts", "ingress_annotations"),
}


class KubernetesOptions(options.RunningOptions):
    """What an administrator may change about the Kubernetes engine."""

    namespace = Unicode(
        "kpl-lab", help="Namespace of everything that runs; made where it is missing."
    ).tag(config=True)
    context = Unicode(
        "", help="Context of the kubeconfig; empty: its current one, or the pod's own account."
    ).tag(config=True)
    connect_host = Unicode(
        "",
        help="Name or address by which pods reach the machine of the runner; empty: the address "
        "from which it reaches the API server.",
    ).tag(config=True)
    reach = Enum(
        ["auto", "pods", "tunnel"],
        default_value="auto",
        help="How the front door reaches pods: `pods` at their own addresses, `tunnel` through their "
        "agents, `auto` whichever works.",
    ).tag(config=True)
    gate_listen = Unicode(
        "",
        help="Address that the gate listens on; empty: connect_host where that is this machine's.",
    ).tag(config=True)
    gate_port = Int(0, help="Port of the gate; 0: a free one, kept from the first start.").tag(
        config=True
    )
    restarts_max = Int(
        2,
        help="Restarts of a service that has never been ready, after which it is given up. Nodes wait "
        "10 seconds before the first, and twice as long before each further one.",
    ).tag(config=True)
    base_image = Unicode(
        own_image(__version__),
        help="The platform's own image: what agents run in, and what environments without a base "
        "stand on.",
    ).tag(config=True)
    pull_policy = Enum(
        ["IfNotPresent", "Always", "Never"], default_value="IfNotPresent", help="When nodes pull."
    ).tag(config=True)
    pull_secrets = List(
        Unicode(), help="Names of Secrets in the namespace with which nodes pull images."
    ).tag(config=True)
    user_id = Int(1000, help="Account of commands and agents; group likewise.").tag(config=True)
    storage_class = Unicode(
        "", help="Class of the claims for homes; empty: the cluster's default."
    ).tag(config=True)
    home_mb = Int(10 * 1024, help="Size of a home in MiB.").tag(config=True)
    home_volume = Unicode(
        "claim",
        help="What homes are: `claim` (one PersistentVolumeClaim each), `none` (gone with the "
        "server), or the name of an existing claim, in which each home is a folder.",
    ).tag(config=True)
    home_access_mode = Enum(
        ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"],
        default_value="ReadWriteOnce",
        help="Access mode of new claims for homes: the last, where the class has it, for users with "
        "several servers, which may then be on several nodes.",
    ).tag(config=True)
    extra_volumes = List(
        Dict(),
        help="Further volumes of the pods of servers, tasks and services, as in the specification of a "
        "pod: shared folders of a team, say.",
    ).tag(config=True)
    extra_mounts = List(
        Dict(),
        help="Where commands see them, as `volumeMounts` of a container; `readOnly` where nobody is to "
        "write.",
    ).tag(config=True)
    supplemental_groups = List(
        Int(min=1), help="Further groups of commands and agents, for shared folders."
    ).tag(config=True)
    pod_labels = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Further labels of all pods, for accounting or policies; ours stay.",
    ).tag(config=True)
    pod_annotations = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Further annotations of all pods; ours stay.",
    ).tag(config=True)
    scratch_mb = Int(
        0, help="Most MiB of work, inputs and outputs of a replica on its node; 0: what there is."
    ).tag(config=True)
    gpu_resource = Unicode(
        "nvidia.com/gpu",
        help="Name of the extended resource that a GPU is: `amd.com/gpu`, `huawei.com/Ascend910`, "
        "`nvidia.com/mig-1g.10gb`, `nvidia.com/gpu.shared`…",
    ).tag(config=True)
    node_autoscaling = Bool(
        False,
        help="Whether nodes are added when pods wait for them: then more GPUs may be asked for than "
        "there are.",
    ).tag(config=True)
    node_token_file = Unicode(
        "",
        help="File of the token that the agents of nodes show, which the chart installs with "
        "`nodeAgent.enabled`; empty: there are none, and live mounts are copied into pods.",
    ).tag(config=True)
    node_selector = Dict(
        key_trait=Unicode(), value_trait=Unicode(), help="Labels of the nodes that workloads use."
    ).tag(config=True)
    tolerations = List(
        Dict(), help="Taints that workloads accept, as in the specification of a pod."
    ).tag(config=True)
    runtime_class = Unicode("", help="RuntimeClass of workloads; empty: the default.").tag(
        config=True
    )
    priority_class = Unicode("", help="PriorityClass of workloads; empty: the default.").tag(
        config=True
    )
    queue = Unicode(
        "", help="Kueue's LocalQueue that tasks wait in; empty: the platform's own queue alone."
    ).tag(config=True)
    cpu_request_share = Int(
        25,
        min=1,
        max=100,
        help="Percent of its cores that a workload reserves on its node; the whole is its limit.",
    ).tag(config=True)
    agent_memory_mb = Int(256, help="Memory of an agent in MiB, its limit.").tag(config=True)
    agent_port = Int(
        17170, help="Port of the agent in a pod, for its probes; the relay's is the next one."
    ).tag(config=True)
    send_seconds = Int(
        3600, help="Seconds that an agent has to send outputs after the command has ended."
    ).tag(config=True)
    keep_seconds = Int(
        86400, help="Seconds after its end that a Job is removed when nobody else has done it."
    ).tag(config=True)
    routes = Enum(
        ["frontdoor", "gateway", "ingress"],
        default_value="frontdoor",
        help="How calls reach public services: all through the platform's own front door, or each by a "
        "route of its own, an HTTPRoute of the Gateway API or an Ingress. Others always go through the "
        "front door, which asks who calls.",
    ).tag(config=True)
    route_parents = List(
        Dict(),
        help="Gateways of the routes, as `parentRefs` of an HTTPRoute; the same as those of the "
        "platform's own route, which takes all other calls.",
    ).tag(config=True)
    route_hosts = List(
        Unicode(),
        help="Host names of the routes, the same as those of the platform's own route; an Ingress "
        "needs one.",
    ).tag(config=True)
    route_from = List(
        Dict(),
        help="Who calls the pods of public services, as peers of a NetworkPolicy: the namespace of "
        "the gateway or Ingress controller. What a policy selects takes calls of nobody else, so there has "
        "to be another one that lets the platform call all pods, as the chart's does. Empty: none is made.",
    ).tag(config=True)
    ingress_class = Unicode("", help="Class of Ingresses; empty: the cluster's default.").tag(
        config=True
    )
    ingress_annotations = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Annotations with which the controller does to calls by an Ingress what the front door "
        "does: it takes the path off, takes `Cookie` and `Authorization` off requests and `Set-Cookie` "
        "off answers, and puts `Content-Security-Policy: sandbox allow-scripts allow-forms` and "
        "`X-Content-Type-Options: nosniff` on answers. An Ingress itself cannot, so there is none "
        "without annotations. `{path}` stands for the service's path.",
    ).tag(config=True)
    ingress_path = Unicode(
        "{path}", help="Path of Ingresses; `{path}` stands for the service's own."
    ).tag(config=True)
    ingress_path_type = Enum(
        ["Prefix", "ImplementationSpecific"],
        default_value="Prefix",
        help="How the controller reads that path: the second where it holds an expression.",
    ).tag(config=True)
    builder_image = Unicode(
        f"kpl-lab/builder:{__version__}",  # what `make images` calls it
        help="Image of the rootless builder, as `images/builder` makes it; it needs a `registry`.",
    ).tag(config=True)
    builder_seccomp = Unicode(
        "",
        help="Profile of system calls for the steps of builds, a file below the kubelets' folder of "
        "profiles; it has to allow user namespaces and mounts in them. Empty: what nodes do by "
        "themselves, which allows them unless kubelets have `seccompDefault`.",
    ).tag(config=True)
    builder_storage = Enum(
        ["overlay", "vfs"],
        default_value="overlay",
        help="How layers are stacked while an image is built: `vfs` copies, and works on nodes older "
        "than Linux 5.13 too.",
    ).tag(config=True)
    registry = Unicode(
        "", help="Where built images go, as `registry.example/team`; empty: they cannot be built."
    ).tag(config=True)
    registry_secret = Unicode(
        "",
        help="Secret of the type kubernetes.io/dockerconfigjson in the namespace, with which built "
        "images are sent and what they stand on is pulled; empty: no registry asks for a login. Nodes "
        "pull with pull_secrets.",
    ).tag(config=True)
    insecure_registries = List(
        Unicode(), help="Registries, as `host:port`, that builds ask over plain HTTP."
    ).tag(config=True)
    build_arguments = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Build arguments that every RUN line sees as variables, such as HTTP_PROXY or "
        "PIP_INDEX_URL. They stay in the image's history: no passwords.",
    ).tag(config=True)
    ca_bundle = Unicode(
        "",
        help="File of certificates that builds trust instead of those of their base image; empty: those.",
    ).tag(config=True)

    @property
    def has_node_agents(self) -> bool:
        """Whether agents of nodes are to be there."""
        return bool(self.node_token_file)

    @property
    def pod_security(self) -> str:
        """The pod security standard that the namespace can be held to: builds need the lower one."""
        return "baseline" if self.registry else "restricted"


def load_options(home: Home, variables: ClusterSettings) -> KubernetesOptions:
    """Return the options of an installation: the defaults, variables, and its file.

    Raises
    ------
    Invalid
        The file or a variable cannot be used.
    """
    path = home.root / FILE_NAME
    found = options.load_options(
        KubernetesOptions,
        path,
        connect_host=variables.connect_host,
        base_image=variables.image,
        pull_policy=variables.pull_policy,
        registry=variables.registry,
        builder_image=variables.builder_image,
        insecure_registries=[*variables.insecure_registries],
    )
    _check_volumes(found, path)
    missing = [name for name in _ROUTES_NEED.get(found.routes, ()) if not getattr(found, name)]
    if missing:
        raise Invalid(
            f"{path} cannot be used: routes = {found.routes!r} needs {' and '.join(missing)} too; "
            "without, calls would not arrive as services need them.",
            code="bad_settings",
        )
    return found


def _check_volumes(found: KubernetesOptions, path: Path) -> None:
    """Refuse volumes that hide ours, and places for volumes that there are not."""
    names = [str(one.get("name", "")) for one in found.extra_volumes]
    taken = sorted(OWN_VOLUMES.intersection(names))
    unknown = sorted({str(one.get("name", "")) for one in found.extra_mounts}.difference(names))
    if taken or unknown:
        problem = (
            f"extra_volumes cannot be called {', '.join(taken)}"
            if taken
            else f"extra_mounts names {', '.join(unknown)}, which extra_volumes does not have"
        )
        raise Invalid(f"{path} cannot be used: {problem}.", code="bad_settings")
