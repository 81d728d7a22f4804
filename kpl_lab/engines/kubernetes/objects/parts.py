"""What stands beside a workload: its Secret, Services, home, and what is written on it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects.environment import secret_values
from kpl_lab.engines.kubernetes.objects.meta import (
    Manifest,
    metadata,
    pull_secret_name,
    selector_of,
)
from kpl_lab.engines.kubernetes.objects.volumes import has_claim
from kpl_lab.engines.kubernetes.plan import CONFIG_FILE, Plan
from kpl_lab.engines.kubernetes.registry import DOCKER_HUB, docker_config
from kpl_lab.engines.running.protocol import decode, encode
from kpl_lab.engines.spec import RegistryLogin, Workload
from kpl_lab.errors import EngineError
from kpl_lab.formats.image_reference import registry_of

# Kubernetes takes 256 KiB of annotations, all together; others write some, too.
# https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/
_MAX_ANNOTATION_BYTES = 200 * 1024
# https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size, less its frame.
_MAX_SECRET_BYTES = 1000 * 1024


def secret(plan: Plan) -> Manifest:
    """Return all that is secret of a workload: ``agent.json``, ``env.<n>`` and ``secret.<n>``.

    Raises
    ------
    EngineError
        It is more than a Secret holds; code ``too_large``.
    """
    values = {
        CONFIG_FILE: json.dumps(plan.agent, ensure_ascii=False, sort_keys=True),
        **secret_values(plan),
        **{f"secret.{i}": value for i, value in enumerate(plan.workload.secrets.values())},
    }
    size = sum(len(value.encode()) for value in values.values())
    _check_size(plan, "the values of its environment variables", size, _MAX_SECRET_BYTES)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(plan),
        "type": "Opaque",
        "immutable": True,
        "stringData": values,
    }


def pull_secret(plan: Plan, login: RegistryLogin) -> Manifest:
    """Return what nodes pull the workload's image with."""
    host = registry_of(plan.workload.image) or DOCKER_HUB
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata(plan), "name": pull_secret_name(plan)},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": docker_config(host, login.username, login.password)},
    }


def service(plan: Plan) -> Manifest:
    """Return the address of a service's replicas that are ready.

    Raises
    ------
    EngineError
        It has no port.
    """
    if plan.port is None:
        raise EngineError(f"{plan.workload.name} says no port to listen on.", code="no_port")
    port = {"name": "http", "port": plan.port, "targetPort": plan.port, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan),
        "spec": {"type": "ClusterIP", "selector": selector_of(plan), "ports": [port]},
    }


def headless(plan: Plan) -> Manifest:
    """Return what gives each replica of a task a name, before it is ready: they meet to become so."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector_of(plan),
        },
    }


def meeting(plan: Plan) -> Manifest:
    """Return what lets the replicas of a task call each other, and nobody else call them.

    It matters where policies are enforced; what they may call themselves is the namespace's business.
    """
    mine = {"matchLabels": selector_of(plan)}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(plan),
        "spec": {
            "podSelector": mine,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": mine}]}],
        },
    }


def home_claim(plan: Plan) -> Manifest | None:
    """Return the claim for a server's home, which outlives it; None where there is none of ours."""
    home = plan.workload.home
    if home is None or not has_claim(plan):
        return None
    spec: Manifest = {
        "accessModes": [plan.shape.home_access_mode],
        "resources": {"requests": {"storage": f"{plan.shape.home_mb}Mi"}},
    }
    if plan.shape.storage_class:
        spec["storageClassName"] = plan.shape.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": names.home_claim(plan.installation, home),
            "namespace": plan.namespace,
            # Not those of the workload: it is deleted by them.
            "labels": {
                **names.MANAGED_BY,
                names.INSTALLATION: plan.installation,
                names.HOME: names.label_value(home),
            },
            "annotations": {names.HOME: home},
        },
        "spec": spec,
    }


def owner_reference(owner: Mapping[str, Any]) -> Manifest:
    """Return what makes an object go with ``owner``, an object as the API server has answered it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }


def annotations_of(plan: Plan) -> dict[str, str]:
    """Return what is written on a workload's object: the workload itself, without what is secret.

    Blank in it are the values of ``environment`` and ``secrets`` (the names stay) and the two tokens
    of ``relay``. :func:`workload_of` reads it.

    Raises
    ------
    EngineError
        It is more than an object holds; code ``too_large``.
    """
    text = json.dumps(
        encode(_without_secrets(plan.workload)), ensure_ascii=False, separators=(",", ":")
    )
    size = len(names.SPEC) + len(text.encode())
    _check_size(plan, "its command, labels and names", size, _MAX_ANNOTATION_BYTES)
    return {names.SPEC: text}


def workload_of(found: Mapping[str, str]) -> Workload | None:
    """Return the workload that annotations tell of; None where they tell of none of ours."""
    try:
        return decode(Workload, json.loads(found[names.SPEC]))
    except (KeyError, ValueError):
        return None


def _without_secrets(workload: Workload) -> Workload:
    relay = workload.relay
    return dataclasses.replace(
        workload,
        environment=dict.fromkeys(workload.environment, ""),
        secrets=dict.fromkeys(workload.secrets, ""),
        login=None,
        relay=relay and dataclasses.replace(relay, token="", metric_token=""),
    )


def _check_size(plan: Plan, what: str, size: int, most: int) -> None:
    if size > most:
        raise EngineError(
            f"{plan.workload.name} is too large for the cluster: {what} take {size // 1024} KiB, and "
            f"{most // 1024} KiB is the most; put them into a file.",
            code="too_large",
            detail={"bytes": size, "limit_bytes": most},
        )
