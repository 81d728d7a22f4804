"""What a Kubernetes cluster ends or does not start; the engine knows it by a code of its own.

Codes and facts are those of ``engines/kubernetes``: ``ending``, ``pulling``, ``starting``, ``telling``
and ``words``.
"""

from __future__ import annotations

from kpl_lab.engines.spec import Cause
from kpl_lab.platform.domain.faults.entry import ADMIN, AT_ONCE, BUILD, MINUTES, PASSES, Fault

_AGAIN = "Start it again: another node takes it, or it waits until there is room."
_OFTEN = "Start it again; if it happens again, ask an administrator of the cluster for more room."

_ENDED: tuple[Fault, ...] = (
    Fault(
        code="evicted_memory",
        codes=("evicted_memory",),
        who="platform",
        cause="The node {node} ran short of memory and ended it to save the others.",
        action=_OFTEN,
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="evicted_disk",
        codes=("evicted_disk",),
        who="platform",
        cause="The node {node} ran short of disk and ended it to save the others.",
        action=_OFTEN,
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="evicted",
        codes=("evicted",),
        who="platform",
        cause="The node {node} ran short of something ({what}) and ended it to save the others.",
        action=_OFTEN,
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="disk_limit",
        codes=("disk_limit",),
        cause="It wrote more to its node's disk than its limit of {limit} and was ended.",
        action="Write less, or ask an administrator of the cluster for a higher limit.",
        usual_duration=MINUTES,
    ),
    Fault(
        code="preempted",
        codes=("preempted",),
        who="platform",
        cause="It had to make room for something of a higher priority.",
        action="Start it again: it waits until there is room.",
        usual_duration=PASSES,
    ),
    Fault(
        code="drained",
        codes=("drained",),
        who="platform",
        cause="An administrator was emptying the node {node}.",
        action=_AGAIN,
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="node_shutdown",
        codes=("node_shutdown",),
        who="platform",
        cause="The node {node} was shut down and has ended it.",
        action=_AGAIN,
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="node_lost",
        codes=("node_lost",),
        who="platform",
        cause="The node {node} was lost, and it with it.",
        action=_AGAIN,
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="node_full",
        codes=("node_full",),
        who="platform",
        cause="The node {node} that it was sent to had no {resource} left any more.",
        action=_AGAIN,
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="node_refused",
        codes=("node_refused",),
        who="admin",
        cause="The node {node} that it was sent to refused it: {said}",
        action="Start it again; if it happens again, an administrator has to look at that node.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="deadline",
        codes=("deadline",),
        cause="The cluster lets nothing run as long as it did.",
        action="Let it do less work, or ask an administrator of the cluster for more time.",
    ),
    Fault(
        code="agent_ended",
        codes=("agent_ended",),
        needs="error",
        who="platform",
        cause="What connects it with the platform has ended in its pod ({error}), and without that it "
        "cannot be used.",
        action="Start it again; if it happens again, ask an administrator of the cluster.",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="cluster_ended",
        codes=("pod_failed",),
        causes=(Cause.LOST,),
        needs="error",
        who="platform",
        cause="The cluster has ended it: {error}",
        action="Start it again; if it happens again, ask an administrator of the cluster.",
        usual_duration=AT_ONCE,
    ),
)

_NOT_STARTED: tuple[Fault, ...] = (
    Fault(
        code="node_certificate",
        codes=("registry_certificate",),
        who="admin",
        cause="The nodes of the cluster do not trust the registry of the image: {answer}",
        action="An administrator has to give the nodes' container runtime the registry's CA "
        "certificate.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="image_signature",
        codes=("image_signature",),
        cause="The cluster does not accept the signature of the image {image}.",
        action="Use an image that is signed as the cluster wants it; its administrator knows how.",
    ),
    Fault(
        code="image_never_pulled",
        codes=("image_never_pulled",),
        who="admin",
        cause="The image {image} is not on its node, and the engine is told never to pull.",
        action="Use an image that is there, or have it loaded onto the nodes.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="image_runs_as_root",
        codes=("image_runs_as_root",),
        cause="The image's account is root or has no number, and the cluster lets nothing run as "
        "root.",
        action="Give the image a numeric account that is not 0 (`USER 1000` in its Dockerfile).",
        usual_duration=BUILD,
    ),
    Fault(
        code="folder_missing",
        codes=("folder_missing",),
        cause="The folder {folder} that it is to start in cannot be entered in the image.",
        action="Correct `WORKDIR` in its Dockerfile, and who may read that folder.",
        usual_duration=BUILD,
    ),
    Fault(
        code="config_missing",
        codes=("config_missing", "config_invalid"),
        who="platform",
        cause="Its container cannot be put together on the node: {said}",
        action="Start it again; if it stays, ask an administrator.",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="volume_missing",
        codes=("volume_missing", "no_storage_class", "storage_class_missing"),
        who="admin",
        cause="The cluster has no volume for it: {error}",
        action="An administrator has to mend that; then start it again.",
        usual_duration=ADMIN,
    ),
)

_REFUSED: tuple[Fault, ...] = (
    Fault(
        code="cluster_quota",
        codes=("cluster_quota",),
        cause="The quota {quota} of the namespace {namespace} does not let it begin: {amounts}.",
        action="Wait until something ends, ask for less, or have the quota raised.",
        usual_duration=PASSES,
    ),
    Fault(
        code="cluster_refused",
        codes=(
            *("cluster_policy", "cluster_limits", "cluster_too_large", "pod_security"),
            *("cluster_invalid", "cluster_error"),
        ),
        cause="The cluster does not take it: {said}",
        action="Change what was asked for, or ask an administrator of the cluster.",
    ),
    Fault(
        code="cluster_setup",
        codes=(
            *("cluster_forbidden", "cluster_policy_down", "cluster_full", "cluster_class_missing"),
            *("cluster_account_missing", "namespace_missing", "namespace_terminating"),
        ),
        who="admin",
        cause="The cluster is not ready for it: {error}",
        action="An administrator has to mend that; then start it again.",
        usual_duration=ADMIN,
    ),
)

FAULTS: tuple[Fault, ...] = (*_ENDED, *_NOT_STARTED, *_REFUSED)
