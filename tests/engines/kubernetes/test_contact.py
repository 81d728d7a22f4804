"""Why a cluster cannot be spoken to, in words."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from kpl_lab.engines.kubernetes.contact import no_access, unreachable

HOST = "https://cluster.example:6443"
KEY = ConnectionKey("cluster.example", 6443, True, True, None, None, None)


def untrusted(said: str) -> aiohttp.ClientConnectorCertificateError:
    error = ssl.SSLCertVerificationError(1, said)
    error.verify_message = said
    return aiohttp.ClientConnectorCertificateError(KEY, error)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "refused")),
            "cluster_unreachable",
            "nothing answers there",
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "unknown")),
            "cluster_unreachable",
            "its name is not known",
        ),
        (aiohttp.ServerDisconnectedError(), "cluster_unreachable", "the connection broke"),
        (ConnectionResetError(), "cluster_unreachable", "the connection broke"),
        (TimeoutError(), "cluster_unreachable", "did not answer in time"),
        (aiohttp.ConnectionTimeoutError(), "cluster_unreachable", "did not answer in time"),
        (untrusted("certificate is not yet valid"), "cluster_certificate", "set the clock"),
        (untrusted("certificate has expired"), "cluster_certificate", "renew"),
        (
            untrusted("self-signed certificate in certificate chain"),
            "cluster_certificate",
            "take a kubeconfig of this cluster",
        ),
    ],
)
def test_why_there_is_no_answer(error: Exception, code: str, said: str) -> None:
    found = unreachable(error, HOST)
    assert found.code == code
    assert said in found.message
    assert HOST in found.message


@pytest.mark.parametrize(
    ("problem", "facts", "code", "said"),
    [
        ("none", {}, "no_cluster", "set KUBECONFIG"),
        ("missing", {"paths": "/a"}, "no_cluster", "no kubeconfig at /a"),
        ("context", {"context": "b", "known": ["c", "d"]}, "cluster_context", "it has: c, d"),
        ("unreadable", {"paths": "/a", "error": "tabs"}, "cluster_config", "tabs"),
        ("plugin", {"error": "exec: no"}, "cluster_login", "exec: no"),
        ("slow", {"paths": "/a"}, "cluster_login", "Log in"),
    ],
)
def test_why_there_is_no_cluster(problem: str, facts: dict[str, Any], code: str, said: str) -> None:
    error = no_access(problem, facts)
    assert error.code == code
    assert said in error.message
    assert error.detail["problem"] == problem
