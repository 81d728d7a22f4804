"""Objects as an API server keeps them: versions, history, deletion, ownership; in memory."""

from __future__ import annotations

import asyncio
import bisect
import copy
import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.doubles.kubernetes_rules import (
    fill_in,
    fixed_field,
    grace_of,
    merge_patch,
    same,
    without,
)

Json = dict[str, Any]
Key = tuple[str, str, str]  # kind, namespace, name
# Kind: its API, its plural, whether it lies in a namespace.
KINDS: Mapping[str, tuple[str, str, bool]] = {
    "Pod": ("v1", "pods", True),
    "Job": ("batch/v1", "jobs", True),
    "Deployment": ("apps/v1", "deployments", True),
    "StatefulSet": ("apps/v1", "statefulsets", True),
    "Service": ("v1", "services", True),
    "Secret": ("v1", "secrets", True),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims", True),
    "Event": ("v1", "events", True),
    "Namespace": ("v1", "namespaces", False),
    "Node": ("v1", "nodes", False),
    "ResourceQuota": ("v1", "resourcequotas", True),
    "Lease": ("coordination.k8s.io/v1", "leases", True),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies", True),
    "Ingress": ("networking.k8s.io/v1", "ingresses", True),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "httproutes", True),
    "Gateway": ("gateway.networking.k8s.io/v1", "gateways", True),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices", True),
}
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
FOREGROUND = "foregroundDeletion"


class Refusal(Exception):
    """What the server answers with instead: a ``Status``."""

    def __init__(self, code: int, reason: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status: Json = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            **more,
        }


@dataclass(frozen=True)
class Change:
    """One step of history; ``old`` and ``new`` are None for what was not or is no more."""

    version: int
    key: Key
    old: Json | None
    new: Json | None


def full_name(kind: str) -> str:
    """Return a kind as messages of a server name it: ``jobs.batch``."""
    api, plural, _ = KINDS[kind]
    group = api.rpartition("/")[0]
    return f"{plural}.{group}" if group else plural


class Store:
    """All objects of a cluster. What lies in it is never changed, only replaced.

    Attributes
    ----------
    window
        How many steps of history are kept.
    admission
        Asked before each create and change, with the verb and the object; they may refuse.
    """

    def __init__(self, window: int = 10_000) -> None:
        self.window = window
        self.objects: dict[Key, Json] = {}
        self.history: list[Change] = []
        self.version = 100
        self.oldest = 100
        self.changed = asyncio.Event()
        self.admission: list[Callable[[str, Json], None]] = []
        self._applied: dict[Key, Json] = {}
        # The same objects by kind, and the keys of what an object owns, by its uid.
        self._kinds: dict[str, dict[Key, Json]] = {}
        self._owned: dict[str, set[Key]] = {}
        for name in ("default", "kpl-lab"):
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    # --- reading

    def get(self, kind: str, namespace: str, name: str) -> Json:
        """Return an object, or refuse with 404."""
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise Refusal(404, "NotFound", f'{full_name(kind)} "{name}" not found')
        return found

    def all(self, kind: str, namespace: str = "") -> list[Json]:
        """Return the objects of a kind in order of their names; without a namespace, of all."""
        found = self._kinds.get(kind, {})
        return [found[key] for key in sorted(found) if namespace in ("", key[1])]

    def owned(self, owner: Json) -> list[Json]:
        """Return what an object owns."""
        return [self.objects[key] for key in sorted(self._dependents(owner))]

    def check_kept(self, version: int) -> None:
        """Refuse with 410 where the history since a version is not all there."""
        if version < self.oldest:
            text = f"too old resource version: {version} ({self.oldest})"
            raise Refusal(410, "Expired", text)

    def since(self, version: int) -> Iterator[Change]:
        """Yield what came after a version."""
        first = bisect.bisect_right(self.history, version, key=lambda change: change.version)
        return iter(self.history[first:])

    def forget(self) -> None:
        """Let nobody begin a watch before now; those that are open go on."""
        self.oldest = self.version

    # --- writing

    def create(self, obj: Json) -> Json:
        """Take in a new object."""
        obj = copy.deepcopy(obj)
        kind, metadata = str(obj["kind"]), obj["metadata"]
        if "generateName" in metadata and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        name = str(metadata.get("name") or "")
        if not _NAME.match(name) or len(name) > 253:
            text = f'{kind} "{name}" is invalid: metadata.name: Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters'
            raise Refusal(422, "Invalid", text)
        key = self._key(obj)
        self._check_namespace(key)
        if key in self.objects:
            text = f'{full_name(kind)} "{name}" already exists'
            if "deletionTimestamp" in self.objects[key]["metadata"]:
                text = f"object is being deleted: {text}"
            raise Refusal(409, "AlreadyExists", text)
        for ask in self.admission:
            ask("create", obj)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = now()
        metadata["managedFields"] = [{"manager": "kpl-lab", "fieldsV1": {"f:spec": {}}}]
        fill_in(obj)
        return self._put(key, None, obj)

    def replace(self, obj: Json, *, verb: str = "update", status: bool = False) -> Json:
        """Take in a new state of an object; ``status`` decides which half of it counts."""
        key = self._key(obj)
        old = self.get(*key)
        new = copy.deepcopy(obj)
        version = new["metadata"].get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            text = f'Operation cannot be fulfilled on {full_name(key[0])} "{key[2]}": the object has been modified; please apply your changes to the latest version and try again'
            raise Refusal(409, "Conflict", text)
        if status:
            new = {**copy.deepcopy(old), "status": new.get("status", {})}
        else:
            self._keep_own_fields(old, new)
            _refuse_change(old, new)
            for ask in self.admission:
                ask(verb, new)
            fill_in(new)
        if same(old, new):
            return old
        kept = self._put(key, old, new)
        runs = key[0] == "Pod" and bool(kept["spec"].get("nodeName"))
        metadata = kept["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and not runs:
            self.remove(*key)
        return kept

    def _keep_own_fields(self, old: Json, new: Json) -> None:
        """Let nobody but the server and controllers change what is theirs."""
        for field in ("uid", "creationTimestamp", "generation", "deletionTimestamp"):
            if field in old["metadata"]:
                new["metadata"][field] = old["metadata"][field]
        if "status" in old:
            new["status"] = old["status"]
        if old.get("spec") != new.get("spec") and "generation" in old["metadata"]:
            new["metadata"]["generation"] += 1

    def merge(self, key: Key, patch: Json, *, status: bool = False) -> Json:
        """Change an object by a merge patch (RFC 7386)."""
        merged = merge_patch(self.get(*key), patch)
        return self.replace(merged, verb="patch", status=status)

    def apply(self, obj: Json) -> Json:
        """Apply an object: what was applied before and is no longer named goes."""
        key = self._key(obj)
        before, self._applied[key] = self._applied.get(key, {}), copy.deepcopy(obj)
        old = self.objects.get(key)
        if old is None:
            try:
                return self.create(obj)
            except Refusal:
                del self._applied[key]
                raise
        merged = merge_patch(without(old, before, obj), obj)
        merged["metadata"].pop("resourceVersion", None)
        return self.replace(merged, verb="patch")

    def set_status(self, kind: str, namespace: str, name: str, **status: Any) -> Json:
        """Change the named parts of an object's status, as its controller does."""
        return self.merge((kind, namespace, name), {"status": status}, status=True)

    # --- deleting

    def delete(self, key: Key, options: Mapping[str, Any] | None = None) -> Json:
        """Begin to delete an object, and do it where nothing holds it."""
        options = options or {}
        old = self.get(*key)
        uid = (options.get("preconditions") or {}).get("uid")
        if uid and uid != old["metadata"]["uid"]:
            text = f'Operation cannot be fulfilled on {full_name(key[0])} "{key[2]}": the UID in the precondition ({uid}) does not match the UID in record ({old["metadata"]["uid"]}). The object might have been deleted and then recreated'
            raise Refusal(409, "Conflict", text)
        grace = grace_of(key[0], old, options)
        policy = options.get("propagationPolicy") or "Background"
        finalizers = list(old["metadata"].get("finalizers") or [])
        if policy == "Foreground" and self._dependents(old):
            finalizers.append(FOREGROUND)
        if not finalizers and not grace:
            self.remove(*key, orphan=policy == "Orphan")
            return old
        new = copy.deepcopy(old)
        new["metadata"]["finalizers"] = finalizers
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=grace)
        new["metadata"].setdefault("deletionTimestamp", ends.strftime("%Y-%m-%dT%H:%M:%SZ"))
        new["metadata"]["deletionGracePeriodSeconds"] = grace
        kept = self._put(key, old, new)
        if FOREGROUND in finalizers:
            self._cascade(old)
        return kept

    def remove(self, kind: str, namespace: str, name: str, *, orphan: bool = False) -> None:
        """Let an object be gone, and what it owned with it."""
        old = self.objects.get((kind, namespace, name))
        if old is None:
            return
        self._hold((kind, namespace, name), old, None)
        self._applied.pop((kind, namespace, name), None)
        self._record((kind, namespace, name), old, None)
        if kind == "Namespace":
            for key in [key for key in self.objects if key[1] == name]:
                self.remove(*key)
        if not orphan:
            self._cascade(old)
        self._finish_owners(old)

    def _cascade(self, owner: Json) -> None:
        there = {obj["metadata"]["uid"] for obj in self.objects.values()}
        there.discard(owner["metadata"]["uid"])
        for key in self._dependents(owner):
            owners = self.objects[key]["metadata"]["ownerReferences"] if key in self.objects else ()
            # What belongs to several goes with the last of them.
            if owners and there.isdisjoint(one["uid"] for one in owners):
                self.delete(key)

    def _dependents(self, owner: Json) -> list[Key]:
        return list(self._owned.get(owner["metadata"]["uid"], ()))

    def _finish_owners(self, gone: Json) -> None:
        namespace = gone["metadata"].get("namespace", "")
        for reference in gone["metadata"].get("ownerReferences") or []:
            kind = reference["kind"]
            key = (kind, namespace if KINDS[kind][2] else "", reference["name"])
            owner = self.objects.get(key)
            if owner is None or owner["metadata"]["uid"] != reference["uid"]:
                continue
            finalizers = owner["metadata"].get("finalizers") or []
            if FOREGROUND in finalizers and not self._dependents(owner):
                rest = [one for one in finalizers if one != FOREGROUND]
                self.merge(key, {"metadata": {"finalizers": rest}})

    # --- inside

    def _key(self, obj: Json) -> Key:
        kind = str(obj["kind"])
        namespace = obj["metadata"].get("namespace") or "default"
        if not KINDS[kind][2]:
            namespace = ""
        else:
            obj["metadata"]["namespace"] = namespace
        return kind, namespace, str(obj["metadata"].get("name") or "")

    def _check_namespace(self, key: Key) -> None:
        kind, namespace, name = key
        if not namespace:
            return
        found = self.objects.get(("Namespace", "", namespace))
        if found is None:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        if "deletionTimestamp" in found["metadata"]:
            text = f'{full_name(kind)} "{name}" is forbidden: unable to create new content in namespace {namespace} because it is being terminated'
            raise Refusal(403, "Forbidden", text)

    def _put(self, key: Key, old: Json | None, new: Json) -> Json:
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        self._hold(key, old, new)
        self._tell(Change(self.version, key, old, new))
        return new

    def _hold(self, key: Key, old: Json | None, new: Json | None) -> None:
        """Put an object in the place of another, everywhere."""
        for reference in old["metadata"].get("ownerReferences") or [] if old else []:
            self._owned[reference["uid"]].discard(key)
            if not self._owned[reference["uid"]]:
                del self._owned[reference["uid"]]
        for reference in new["metadata"].get("ownerReferences") or [] if new else []:
            self._owned.setdefault(reference["uid"], set()).add(key)
        for place in (self.objects, self._kinds.setdefault(key[0], {})):
            if new is None:
                place.pop(key, None)
            else:
                place[key] = new

    def _record(self, key: Key, old: Json, new: None) -> None:
        self.version += 1
        last = copy.deepcopy(old)
        last["metadata"]["resourceVersion"] = str(self.version)
        self._tell(Change(self.version, key, last, new))

    def _tell(self, change: Change) -> None:
        self.history.append(change)
        for gone in self.history[: -self.window]:
            self.oldest = gone.version
        del self.history[: -self.window]
        self.wake()

    def wake(self) -> None:
        """Let every watch look again."""
        self.changed.set()
        self.changed = asyncio.Event()


def now() -> str:
    """Return the present as the API writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refuse_change(old: Json, new: Json) -> None:
    if old.get("immutable") and (old.get("data"), True) != (new.get("data"), new.get("immutable")):
        text = f'{new["kind"]} "{new["metadata"]["name"]}" is invalid: data: Forbidden: field is immutable when `immutable` is set'
        raise Refusal(422, "Invalid", text)
    field = fixed_field(old, new)
    if field:
        text = f'{new["kind"]} "{new["metadata"]["name"]}" is invalid: spec.{field}: Invalid value: field is immutable'
        raise Refusal(422, "Invalid", text)
