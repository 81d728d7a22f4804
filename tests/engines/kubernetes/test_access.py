"""The way to a cluster over TLS: whom we trust, and who we are."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kpl_lab.engines.kubernetes.access import Access, load_access
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.transport import Patience
from kpl_lab.engines.kubernetes.words import ClusterAway
from tests.doubles.kubernetes import TOKEN, Server, api_server


def certificate(name: str, *, begins: int = -1, ends: int = 1) -> tuple[str, str]:
    """Return a certificate that vouches for itself, and its key; days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=begins))
        .not_valid_after(now + dt.timedelta(days=ends))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        made.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


@asynccontextmanager
async def secured(
    folder: Path, pems: tuple[str, str], trusted: str = ""
) -> AsyncIterator[tuple[Server, Access]]:
    """Run a server with a certificate; it asks for one where it has somebody to trust."""
    (folder / "server.pem").write_text("".join(pems))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    if trusted:
        context.load_verify_locations(cadata=trusted)
        context.verify_mode = ssl.CERT_REQUIRED
    async with api_server(tls=context) as server:
        yield server, Access(host=server.url, authorization=f"Bearer {TOKEN}", ca_pem=pems[0])


async def minor_version(access: Access) -> str:
    async def source() -> Access:
        return access

    cluster = await Cluster.of(source, "kpl-lab", patience=Patience(total=0))
    try:
        return str((await cluster.version())["minor"])
    finally:
        await cluster.close()


async def test_a_server_is_known_by_its_authority(tmp_path: Path) -> None:
    async with secured(tmp_path, certificate("cluster.example")) as (_, access):
        assert await minor_version(access) == "36"
        assert await minor_version(replace(access, ca_pem="", verify=False)) == "36"
        assert await minor_version(replace(access, server_name="cluster.example")) == "36"


async def test_another_authority_or_name_is_refused_at_once(tmp_path: Path) -> None:
    async with secured(tmp_path, certificate("cluster.example")) as (server, access):
        for wrong in (
            replace(access, ca_pem=certificate("other.example")[0]),
            replace(access, server_name="other.example"),
        ):
            with pytest.raises(ClusterAway) as caught:
                await minor_version(wrong)
            assert caught.value.code == "cluster_certificate"
        assert server.calls == []


@pytest.mark.parametrize(
    ("begins", "ends", "said"), [(-9, -1, "has expired"), (1, 9, "not yet valid")]
)
async def test_clocks_that_differ_are_told(
    tmp_path: Path, begins: int, ends: int, said: str
) -> None:
    pems = certificate("cluster.example", begins=begins, ends=ends)
    async with secured(tmp_path, pems) as (_, access):
        with pytest.raises(ClusterAway, match=f"{said}; set the clock"):
            await minor_version(access)


async def test_our_own_certificate_says_who_we_are(tmp_path: Path) -> None:
    own, key = certificate("kpl-lab")
    async with secured(tmp_path, certificate("cluster.example"), own) as (_, access):
        assert await minor_version(replace(access, cert_pem=own, key_pem=key)) == "36"
        with pytest.raises(ClusterAway):
            await minor_version(access)
    assert key not in repr(replace(access, key_pem=key))


async def test_a_kubeconfig_with_files_beside_it_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, key = certificate("kpl-lab")
    for name, text in (("ca.crt", own), ("me.crt", own), ("me.key", key)):
        (tmp_path / name).write_text(text)
    (tmp_path / "config").write_text(
        """
        current-context: here
        contexts: [{name: here, context: {cluster: c, user: u, namespace: team}}]
        clusters: [{name: c, cluster: {server: "https://cluster.example:6443/",
                    certificate-authority: ca.crt, tls-server-name: inner.example}}]
        users: [{name: u, user: {client-certificate: me.crt, client-key: me.key}}]
        """
    )
    monkeypatch.chdir("/")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    access = await load_access("", {"KUBECONFIG": str(tmp_path / "config")})
    assert access == Access(
        host="https://cluster.example:6443",
        ca_pem=own,
        cert_pem=own,
        key_pem=key,
        server_name="inner.example",
        namespace="team",
        proxy="http://proxy.example:3128",
    )
