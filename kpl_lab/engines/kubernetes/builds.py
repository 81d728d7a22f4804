"""Builds on a cluster: what a pod is given for a recipe, and what the registry has of them."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.ledger import Entry
from kpl_lab.engines.kubernetes.options import KubernetesOptions
from kpl_lab.engines.kubernetes.plan import Build
from kpl_lab.engines.kubernetes.registry import Registry, docker_config, login_of
from kpl_lab.engines.running.checks import check_digest, check_segment, check_source
from kpl_lab.engines.running.dockerfiles import CA_FILE, bases_of, check_base, dockerfile
from kpl_lab.engines.spec import Input, Kind, Recipe, Workload
from kpl_lab.errors import EngineError
from kpl_lab.formats.image_reference import registry_of

_RECIPE, _CONTEXT = "build", "context"


class Builder:
    """Turns recipes into workloads, and knows what the registry has.

    Parameters
    ----------
    installation
        Its id: the repository in which its images are.
    storage
        The store, in which contexts and archives lie.
    """

    def __init__(
        self, installation: str, options: KubernetesOptions, storage: Path, cluster: Cluster
    ) -> None:
        self._installation, self._options = installation, options
        self._storage, self._cluster = storage, cluster

    @property
    def _host(self) -> str:
        return registry_of(f"{self._options.registry}/x") or "docker.io"

    def reference(self, digest: str) -> str:
        """Return what the result of a recipe is called."""
        return f"{self._options.registry.rstrip('/')}/{self._installation}:{digest}"

    def check(self, recipe: Recipe) -> None:
        """Refuse what cannot be built here.

        Raises
        ------
        EngineError
            There is no registry (``no_builder``), or the recipe reaches outside.
        """
        if not self._options.registry:
            raise EngineError(
                "Images cannot be built on this cluster: it has no registry for them; an administrator "
                "names one (KPL_REGISTRY, or workloads.registry of the chart).",
                code="no_builder",
            )
        for name in recipe.files:
            check_segment(name, "file of a build")
        for base in bases_of(recipe, self._options):
            check_base(base)
        if recipe.push is not None:
            check_base(recipe.push.reference)
        if (sent := _sent(recipe)) is not None:
            check_source(Path(sent), self._storage)

    def workload(self, name: str, recipe: Recipe) -> Workload:
        """Return the workload as which a build runs."""
        secrets = recipe.dockerfile.secrets if recipe.dockerfile else {}
        inputs = [Input(key=_RECIPE, source=_RECIPE)]
        if _sent(recipe) is not None:
            inputs.append(Input(key=_CONTEXT, source=_CONTEXT))
        return Workload(
            name=name,
            kind=Kind.BUILD,
            labels=recipe.labels,
            image=self._options.builder_image,
            command=(),
            identity=f"build:{name}",
            limits=recipe.limits,
            time_limit_seconds=recipe.time_limit_seconds,
            secrets={str(index): value for index, value in enumerate(secrets.values())},
            inputs=tuple(inputs),
            templates=(),
        )

    def build(self, recipe: Recipe | None) -> Build:
        """Return how the pod of a build is."""
        push = None if recipe is None else recipe.push
        login = ""
        if push is not None and push.login is not None:
            host = registry_of(push.reference) or "docker.io"
            login = docker_config(host, push.login.username, push.login.password)
        return Build(
            image=self._options.builder_image,
            registry_secret=self._options.registry_secret,
            push_login=login,
            seccomp=self._options.builder_seccomp,
        )

    async def write(self, entry: Entry) -> None:
        """Put what the pod fetches into the folder of the build."""
        recipe = entry.recipe
        if recipe is None:
            return
        is_there = await self.find(recipe.digest) is not None
        folder = entry.folder / _RECIPE
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "files").mkdir(parents=True)
        steps = resources.files("kpl_lab.engines.kubernetes.builder") / "steps.py"
        (folder / "steps.py").write_bytes(steps.read_bytes())
        (folder / "plan.json").write_text(json.dumps(self._plan(recipe, is_there=is_there)))
        if recipe.archive is None:
            (folder / "Dockerfile").write_text(dockerfile(recipe, self._options))
        for name, data in self._files(recipe).items():
            (folder / "files" / name).write_bytes(data)

    def _files(self, recipe: Recipe) -> dict[str, bytes]:
        found = {name: text.encode() for name, text in recipe.files.items()}
        if self._options.ca_bundle:
            found[CA_FILE] = Path(self._options.ca_bundle).read_bytes()
        return found

    def _plan(self, recipe: Recipe, *, is_there: bool) -> dict[str, Any]:
        asked = recipe.dockerfile
        arguments = {} if asked is None else asked.arguments
        needs_bases = not is_there
        return {
            "result": self.reference(recipe.digest),
            "push": None if recipe.push is None else recipe.push.reference,
            "is_there": is_there,
            "bases": list(bases_of(recipe, self._options)) if needs_bases else [],
            "has_archive": recipe.archive is not None,
            "has_context": asked is not None and asked.context is not None,
            "files": sorted(self._files(recipe)),
            "arguments": {**self._options.build_arguments, **arguments},
            "secrets": {id: str(i) for i, id in enumerate(asked.secrets if asked else ())},
            "target": "" if asked is None else asked.target or "",
            "max_bytes": recipe.max_bytes,
            "storage": self._options.builder_storage,
            "insecure": list(self._options.insecure_registries),
        }

    def source(self, entry: Entry, key: str) -> Path:
        """Return what the pod of a build may fetch: its recipe, and what was sent with it.

        Raises
        ------
        EngineError
            It is not known any more.
        """
        if key == _RECIPE:
            return entry.folder / _RECIPE
        sent = None if entry.recipe is None else _sent(entry.recipe)
        if key != _CONTEXT or sent is None:
            raise EngineError(f"{entry.name} has no input {key!r}.", code="no_source")
        return check_source(Path(sent), self._storage)

    async def find(self, digest: str) -> str | None:
        """Return the reference of an image that the registry has; None where it has not.

        Raises
        ------
        Unavailable, EngineError
            The registry does not answer, or does not let us in.
        """
        if not self._options.registry:
            return None
        registry, repository = await self._registry()
        return self.reference(digest) if await registry.has(repository, digest) else None

    async def remove(self, reference: str) -> bool:
        """Remove an image from the registry; return whether it is gone.

        Raises
        ------
        EngineError
            It was not made here (``not_ours``); else as of :meth:`find`.
        """
        digest = check_digest(reference.rpartition(":")[2])
        if reference != self.reference(digest):
            raise EngineError(f"{reference} was not made here; it stays.", code="not_ours")
        registry, repository = await self._registry()
        return await registry.remove(repository, digest)

    async def _registry(self) -> tuple[Registry, str]:
        """Return the registry, and the repository of this installation in it."""
        host = self._host
        repository = self.reference("").rpartition(":")[0].removeprefix(f"{host}/")
        is_insecure = host in self._options.insecure_registries
        return Registry(host, login=await self._login(host), is_insecure=is_insecure), repository

    async def _login(self, host: str) -> str:
        name = self._options.registry_secret
        if not name:
            return ""
        # The platform's account may list Secrets, and need not get them.
        found, _ = await self._cluster.list("Secret", fields=f"metadata.name={name}")
        for one in found:
            config = (one.get("data") or {}).get(".dockerconfigjson", "")
            return login_of(base64.b64decode(config).decode("utf-8", "replace"), host)
        raise EngineError(
            f"There is no Secret {name} in the namespace {self._cluster.namespace}; ask an "
            "administrator to make it, or to mend KubernetesOptions.registry_secret.",
            code="registry_denied",
        )


def check_not_building(entries: Iterable[Entry], digest: str) -> None:
    """Refuse to build what a build of another name makes just now.

    Raises
    ------
    EngineError
        One does; code ``build_running``.
    """
    for entry in entries:
        is_same = entry.recipe is not None and entry.recipe.digest == digest
        is_over = bool(entry.statuses) and all(one.is_final for one in entry.statuses.values())
        if is_same and not is_over:
            raise EngineError(
                f"{entry.name} builds this environment already; wait for it.",
                code="build_running",
                detail={"name": entry.name},
            )


def _sent(recipe: Recipe) -> str | None:
    """Return the file of the store that goes with a recipe."""
    return recipe.archive or (recipe.dockerfile.context if recipe.dockerfile else None)
