"""Why a cluster cannot be spoken to, in words: its configuration, or the way to it; pure functions."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp

from kpl_lab.engines.kubernetes.words import ClusterAway
from kpl_lab.errors import EngineError

_CLOCK = ("not yet valid", "has expired")


class NoCluster(EngineError):
    """No cluster is named, or not in a way that can be used."""

    default_code = "no_cluster"


def no_access(problem: str, facts: Mapping[str, Any]) -> NoCluster:
    """Return the error for a configuration that names no usable cluster.

    Parameters
    ----------
    problem
        ``none``, ``missing``, ``context``, ``unreadable``, ``plugin`` or ``slow``.
    facts
        ``paths``, ``context``, ``known`` and ``error``, as far as they are known.
    """
    paths, error = facts.get("paths", ""), facts.get("error", "")
    known = ", ".join(facts.get("known", ())) or "none"
    code, message = {
        "none": (
            "no_cluster",
            "No cluster is named; set KUBECONFIG to a kubeconfig file, or run inside of a cluster.",
        ),
        "missing": (
            "no_cluster",
            f"There is no kubeconfig at {paths}; set KUBECONFIG to the file of your cluster.",
        ),
        "context": (
            "cluster_context",
            f"The kubeconfig {paths} has no context {facts.get('context') or '(none is current)'}; it has: "
            f"{known}. Choose one with `kubectl config use-context` or KubernetesOptions.context.",
        ),
        "unreadable": (
            "cluster_config",
            f"The kubeconfig {paths} cannot be used: {error}",
        ),
        "plugin": (
            "cluster_login",
            f"The login that the kubeconfig {paths} names did not work: {error}",
        ),
        "slow": (
            "cluster_login",
            f"The kubeconfig {paths} was not read in time; its login program may wait for an answer. Log "
            "in to the cluster in a terminal first.",
        ),
    }[problem]
    return NoCluster(message, code=code, detail={"problem": problem, **facts})


def unreachable(error: BaseException, host: str) -> ClusterAway:
    """Return the error for a request that got no answer.

    Parameters
    ----------
    error
        What the HTTP client raised.
    host
        Address of the API server.
    """
    certificate = _certificate(error)
    if certificate is not None:
        return _certificate_words(certificate, host)
    cause = "it did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = "nothing answers there"
        if isinstance(error.os_error, socket.gaierror):
            cause = "its name is not known here"
    elif not isinstance(error, TimeoutError):
        cause = "the connection broke"
    return ClusterAway(
        f"The cluster's API server at {host} cannot be reached: {cause}. Check that the cluster runs and that "
        "KUBECONFIG names it.",
        detail={"host": host, "error": f"{type(error).__name__}: {error}"},
    )


def _certificate(error: BaseException) -> ssl.SSLCertVerificationError | None:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    return error if isinstance(error, ssl.SSLCertVerificationError) else None


def _certificate_words(error: ssl.SSLCertVerificationError, host: str) -> ClusterAway:
    said = error.verify_message
    if any(part in said for part in _CLOCK):
        step = "set the clock of this machine, or renew the cluster's certificates."
    else:
        step = "take a kubeconfig of this cluster, with its certificate authority and name."
    return ClusterAway(
        f"The certificate of the cluster's API server at {host} cannot be trusted: {said}; {step}",
        code="cluster_certificate",
        detail={"host": host, "error": said},
    )
