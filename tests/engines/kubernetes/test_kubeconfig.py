"""Which cluster is meant: by a kubeconfig, or by the account of a pod."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.access import of_account
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.contact import NoCluster
from tests.doubles.kubernetes import TOKEN, Server
from tests.engines.kubernetes.clusters import NS, server

__all__ = ["server"]  # a fixture


async def test_a_kubeconfig_leads_to_its_cluster(server: Server, tmp_path: Path) -> None:
    path = server.kubeconfig(tmp_path / "config")
    environ = {"KUBECONFIG": f"/nowhere/config:{path}"}
    cluster = await Cluster.open(NS, environ=environ)
    assert (await cluster.version())["minor"] == "36"
    await cluster.close()

    with pytest.raises(NoCluster, match=r"no context other.* it has: double") as caught:
        await Cluster.open(NS, context="other", environ=environ)
    assert caught.value.code == "cluster_context"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, "no_cluster", "no kubeconfig at"),
        ("- just: a list", "cluster_config", "cannot be used"),
        ("a: [", "cluster_config", "cannot be used"),
        ("current-context: x\n", "cluster_context", "has: none"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_told(
    tmp_path: Path, content: str | None, code: str, said: str
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NoCluster, match=said) as caught:
        await Cluster.open(NS, environ={"KUBECONFIG": str(path)})
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("program", "said"),
    [("false", "process returned 1"), ("no-such-login", "no program no-such-login")],
)
async def test_a_login_program_that_fails_is_told(
    tmp_path: Path, server: Server, program: str, said: str
) -> None:
    path = server.kubeconfig(tmp_path / "config")
    login = f"exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{program}'}}"
    path.write_text(path.read_text().replace(f"token: {TOKEN}", login))
    with pytest.raises(NoCluster, match=said) as caught:
        await Cluster.open(NS, environ={"KUBECONFIG": str(path), "PATH": "/usr/bin:/bin"})
    assert caught.value.code == "cluster_login"


async def test_the_library_says_the_same_with_and_without_its_models(
    tmp_path: Path, server: Server
) -> None:
    path = server.kubeconfig(tmp_path / "config")
    said = []
    for whole in (False, True):
        code = (
            "import asyncio, sys; from kpl_lab.engines.kubernetes import kubeconfig as k;"
            f"load = k.load_library; k.load_library = lambda: load(whole={whole});"
            "print(asyncio.run(k.read(sys.argv[1], '')), 'kubernetes_asyncio.client.models' in sys.modules)"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(path), stdout=asyncio.subprocess.PIPE
        )
        answer, loaded = (await process.communicate())[0].decode().rsplit(maxsplit=1)
        assert loaded == str(whole)
        said.append(answer)
    assert said[0] == said[1]
    assert TOKEN in said[0]


async def test_the_account_of_a_pod_is_used(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    with pytest.raises(NoCluster):
        of_account(environ, tmp_path)
    for name, text in (("token", "secret\n"), ("ca.crt", "PEM"), ("namespace", "there")):
        (tmp_path / name).write_text(text)
    access = of_account(environ, tmp_path)
    assert access.host == "https://[fd00::1]:6443"
    assert access.authorization == "Bearer secret"
    assert access.namespace == "there"
    assert "secret" not in repr(access)
