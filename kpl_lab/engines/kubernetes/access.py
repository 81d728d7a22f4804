"""How to reach a cluster and what to show there: of a kubeconfig, or of the pod's own account.

Reading a kubeconfig (logins by programs and providers, relative files, merged paths) is the work of
``kubernetes_asyncio``, which loads 700 models with it: 57 MiB and 3 s of a processor. It is
therefore done in a short-lived process (:mod:`.kubeconfig`).
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kpl_lab.engines.kubernetes.contact import no_access

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_KUBECONFIG = "~/.kube/config"
_READER = "kpl_lab.engines.kubernetes.kubeconfig"
_READ_SECONDS = 120.0  # a login program may ask a provider of identities


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where an API server is, how it is recognised, and how we are.

    Attributes
    ----------
    host
        Its URL, without a slash at the end.
    authorization
        Value of the header of that name; empty with a certificate of ours.
    ca_pem
        Certificates to trust; empty: the machine's.
    namespace
        What the context or the pod's account names; empty: nothing.
    """

    host: str
    authorization: str = field(default="", repr=False)
    ca_pem: str = ""
    cert_pem: str = field(default="", repr=False)
    key_pem: str = field(default="", repr=False)
    verify: bool = True
    server_name: str = ""
    proxy: str = ""
    namespace: str = ""

    def tls(self) -> ssl.SSLContext:
        """Return a context for connections; reads and writes small files."""
        context = ssl.create_default_context(cadata=self.ca_pem or None)
        # Clusters often have authorities without the extensions that Python 3.13 wants; neither
        # does kubectl insist on them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.cert_pem:
            with tempfile.TemporaryDirectory() as folder:
                chain = Path(folder) / "client.pem"
                chain.touch(mode=0o600)
                chain.write_text(f"{self.cert_pem}\n{self.key_pem}\n")
                context.load_cert_chain(chain)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


async def load_access(context: str, environ: Mapping[str, str]) -> Access:
    """Return the way to the cluster that is named.

    A context or ``KUBECONFIG`` wins over the pod's own account, and that over the user's own kubeconfig.

    Raises
    ------
    NoCluster
        None is named, or it cannot be used.
    """
    paths = environ.get("KUBECONFIG", "")
    if not paths and not context and environ.get("KUBERNETES_SERVICE_HOST"):
        return of_account(environ, ACCOUNT)
    if not paths:
        paths = _own_kubeconfig()
    return await _of_kubeconfig(paths, context, environ)


def of_account(environ: Mapping[str, str], folder: Path) -> Access:
    """Return the way to the cluster that this process runs in.

    Parameters
    ----------
    folder
        Where the account's token and the authority's certificate are; the token changes there.

    Raises
    ------
    NoCluster
        The pod has no account.
    """
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        token = (folder / "token").read_text().strip()
        ca_pem = (folder / "ca.crt").read_text()
        namespace = folder / "namespace"
        return Access(
            host=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            authorization=f"Bearer {token}",
            ca_pem=ca_pem,
            namespace=namespace.read_text().strip() if namespace.exists() else "",
        )
    except OSError as error:
        raise no_access("none", {"error": str(error)}) from error


def _own_kubeconfig() -> str:
    path = Path(DEFAULT_KUBECONFIG).expanduser()
    if not path.is_file():
        raise no_access("none", {"paths": str(path)})
    return str(path)


async def _of_kubeconfig(paths: str, context: str, environ: Mapping[str, str]) -> Access:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _READER,
        paths,
        context,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environ),
    )
    try:
        async with asyncio.timeout(_READ_SECONDS):
            said, complaints = await process.communicate()
    except TimeoutError as error:
        raise no_access("slow", {"paths": paths}) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if not said:
        last = complaints.decode(errors="replace").strip().rpartition("\n")[2]
        raise no_access("unreadable", {"paths": paths, "error": last})
    answer = json.loads(said)
    if "problem" in answer:
        raise no_access(answer.pop("problem"), {"paths": paths, **answer})
    proxy = answer.pop("proxy") or _proxy(answer["host"])
    return Access(proxy=proxy, **answer)


def _proxy(host: str) -> str:
    """Return the proxy that the environment names for an address; empty: none."""
    url = urllib.parse.urlsplit(host)
    if urllib.request.proxy_bypass(url.netloc):
        return ""
    return urllib.request.getproxies().get(url.scheme, "")
