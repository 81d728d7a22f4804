"""Reads a kubeconfig and says on its output, as JSON, how the cluster is reached: see :mod:`.access`.

A process of its own, the only place that loads ``kubernetes_asyncio``.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import yaml

_LIBRARY = "kubernetes_asyncio"
# What comes of files whose shape is wrong.
_SHAPE = (KeyError, TypeError, AttributeError, AssertionError)
_MALFORMED = (yaml.YAMLError, ValueError, OSError, *_SHAPE)


class Malformed(Exception):
    """A file is not what it should be."""


def contexts(paths: str) -> tuple[dict[str, str], str]:
    """Return each context's namespace, and the name of the current context.

    Of several files the first that names something counts, as for ``kubectl``.

    Raises
    ------
    FileNotFoundError
        None of the files is there.
    """
    found = [path for path in map(_home, filter(None, paths.split(os.pathsep))) if path.exists()]
    if not found:
        raise FileNotFoundError(paths)
    known: dict[str, str] = {}
    current = ""
    for path in found:
        content = yaml.safe_load(path.read_text()) or {}
        if not isinstance(content, dict):
            raise Malformed(f"{path} holds no mapping")
        for context in content.get("contexts") or []:
            namespace = (context.get("context") or {}).get("namespace") or ""
            known.setdefault(str(context["name"]), str(namespace))
        current = current or str(content.get("current-context") or "")
    return known, current


async def read(paths: str, context: str) -> dict[str, Any]:
    """Return how the cluster of a context is reached, or what is the matter.

    Parameters
    ----------
    paths
        As in ``KUBECONFIG``.
    context
        Empty: the current one.
    """
    try:
        known, current = contexts(paths)
    except FileNotFoundError:
        return {"problem": "missing"}
    except (*_MALFORMED, Malformed) as error:
        return {"problem": "unreadable", "error": _said(error)}
    chosen = context or current
    if chosen not in known:
        return {"problem": "context", "context": chosen, "known": sorted(known)}
    try:
        return {**await _resolved(paths, chosen), "namespace": known[chosen]}
    except _Login as error:
        return {"problem": "plugin", "context": chosen, "error": str(error)}
    except (*_MALFORMED, Malformed) as error:
        return {"problem": "unreadable", "context": chosen, "error": _said(error)}


class _Login(Exception):
    """A program or provider that is to say who we are did not."""


async def _resolved(paths: str, context: str) -> dict[str, Any]:
    library = load_library()
    configuration = library.Configuration()
    with tempfile.TemporaryDirectory() as folder:
        try:
            await library.load_kube_config(
                config_file=paths,
                context=context,
                client_configuration=configuration,
                # What it would write is what a provider of identities gave it: kubectl's affair.
                persist_config=False,
                temp_file_path=folder,
            )
        except library.ConfigException as error:
            kind = _Login if str(error).startswith(("exec:", "oidc:")) else Malformed
            raise kind(str(error)) from error
        except FileNotFoundError as error:
            raise _Login(f"there is no program {error.filename}") from error
        return {
            "host": configuration.host.rstrip("/"),
            "authorization": await configuration.get_api_key_with_prefix("BearerToken") or "",
            "ca_pem": _text(configuration.ssl_ca_cert),
            "cert_pem": _text(configuration.cert_file),
            "key_pem": _text(configuration.key_file),
            "verify": bool(configuration.verify_ssl),
            "server_name": configuration.tls_server_name or "",
            "proxy": configuration.proxy or "",
        }


def load_library(*, whole: bool = False) -> types.SimpleNamespace:
    """Return what is used of the library.

    Parameters
    ----------
    whole
        With its 700 models, which take seconds to load and which this process has no use for. Without,
        its packages are entered by the side door: nothing else runs in this process that could miss them.
    """
    if not whole:
        try:
            _enter_lightly()
            return _parts()
        except (ImportError, AttributeError):  # built differently in another version
            for name in [name for name in sys.modules if name.split(".")[0] == _LIBRARY]:
                del sys.modules[name]
    return _parts()


def _enter_lightly() -> None:
    spec = importlib.util.find_spec(_LIBRARY)
    if spec is None or spec.origin is None:
        raise ImportError(_LIBRARY)
    root = Path(spec.origin).parent
    for name, folder in ((_LIBRARY, root), (f"{_LIBRARY}.client", root / "client")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    configuration = importlib.import_module(f"{_LIBRARY}.client.configuration").Configuration
    client: Any = sys.modules[f"{_LIBRARY}.client"]
    client.Configuration, client.ApiClient = configuration, object


def _parts() -> types.SimpleNamespace:
    client = importlib.import_module(f"{_LIBRARY}.client")
    config = importlib.import_module(f"{_LIBRARY}.config")
    return types.SimpleNamespace(
        Configuration=client.Configuration,
        ConfigException=config.ConfigException,
        load_kube_config=config.load_kube_config,
    )


def _home(path: str) -> Path:
    return Path(path).expanduser()


def _text(path: str | None) -> str:
    return Path(path).read_text() if path else ""


def _said(error: BaseException) -> str:
    if isinstance(error, _SHAPE):
        return f"its content is not that of a kubeconfig ({error})"
    return str(error)


def main() -> None:
    """Read what the arguments name."""
    answer = asyncio.run(read(sys.argv[1], sys.argv[2]))
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
