"""One namespace of a cluster: plain objects in and out."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from kpl_lab.engines.kubernetes import words
from kpl_lab.engines.kubernetes.access import Access, load_access
from kpl_lab.engines.kubernetes.contact import unreachable
from kpl_lab.engines.kubernetes.forms import (
    WHOLE_LOG,
    Items,
    LogQuery,
    delete_options,
    event_time,
    given,
    whole,
)
from kpl_lab.engines.kubernetes.kinds import KINDS
from kpl_lab.engines.kubernetes.transport import AccessSource, Patience, Request, Transport
from kpl_lab.engines.kubernetes.words import Call, ClusterAway, Gone, Json, Missing, Refused
from kpl_lab.recent import Recent

FIELD_MANAGER = "kpl-lab"
PAGE = 500
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_NOT_FOUND, _FORBIDDEN, _CONFLICT = 404, 403, 409
# A server ends a watch at the time that it was asked to; this much later it is broken, in seconds.
_LATE = 15.0
_LOG_SILENCE = 30.0
# So old may be what is known of nodes.
_NODES_SECONDS = 5.0


class Cluster:
    """Calls to one API server about one namespace.

    Every method raises :class:`~.words.Refused` (or a child of it) when the server says no, and
    :class:`~.words.ClusterAway` when it does not answer for longer than the patience.

    Parameters
    ----------
    transport
        The connections; :meth:`open` makes them.
    namespace
        Of all objects that lie in one.
    """

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport = transport
        self.namespace = namespace
        self._nodes = Recent(_NODES_SECONDS, self._list_nodes)

    @classmethod
    async def open(
        cls,
        namespace: str,
        *,
        context: str = "",
        environ: Mapping[str, str] = os.environ,
        patience: Patience | None = None,
    ) -> Cluster:
        """Return the cluster that is named by a context, ``KUBECONFIG`` or the pod's own account.

        Nothing is asked of it yet.

        Raises
        ------
        NoCluster
            None is named, or not in a way that can be used.
        """

        async def source() -> Access:
            return await load_access(context, environ)

        return await cls.of(source, namespace, patience=patience)

    @classmethod
    async def of(
        cls, source: AccessSource, namespace: str, *, patience: Patience | None = None
    ) -> Cluster:
        """Return the cluster that ``source`` gives the way to."""
        return cls(Transport(source, await source(), patience=patience), namespace)

    def at(self, namespace: str) -> Cluster:
        """Return the same cluster in another namespace, over the same connections."""
        return Cluster(self._transport, namespace)

    @property
    def host(self) -> str:
        """URL of the API server."""
        return self._transport.host

    async def close(self) -> None:
        """Let go of the connections."""
        await self._transport.close()

    @property
    def is_answering(self) -> bool:
        """Whether the last request of all found somebody at the server's address."""
        return self._transport.is_answering

    async def answering(self, seconds: float) -> None:
        """Return when something answers at the server's address, or after so long."""
        await self._transport.answering(seconds)

    async def version(self) -> Json:
        """Return what the server says of itself: ``major``, ``minor``, ``gitVersion``…"""
        call = Call("get", "version")
        return await self._transport.json(Request(method="GET", path="/version", call=call))

    async def serves(self, kind: str) -> bool:
        """Say whether the cluster has such objects at all, which it tells anybody."""
        return await self.serves_api(KINDS[kind].api)

    async def serves_api(self, api: str) -> bool:
        """Say whether the cluster has a group of objects, or a version of one (``GROUP/VERSION``)."""
        path = f"/apis/{api}"
        try:
            await self._transport.json(Request(method="GET", path=path, call=Call("get", path)))
        except Missing:
            return False
        return True

    async def get(self, kind: str, name: str) -> Json | None:
        """Return an object; None when it is not there."""
        try:
            return await self._transport.json(self._request("GET", "get", kind, name))
        except Missing:
            return None

    async def pages(
        self, kind: str, selector: str = "", *, fields: str = "", limit: int = PAGE
    ) -> AsyncGenerator[tuple[Items, str], None]:
        """Yield all objects page by page, each with the version of the whole list.

        Raises
        ------
        Gone
            The pages took so long that the server no longer knows the list.
        """
        going_on = ""
        while True:
            query = given(labelSelector=selector, fieldSelector=fields, limit=str(limit))
            query |= given(**{"continue": going_on})
            found = await self._transport.json(self._request("GET", "list", kind, query=query))
            metadata = found.get("metadata") or {}
            yield whole(KINDS[kind], found.get("items") or []), str(metadata["resourceVersion"])
            going_on = metadata.get("continue") or ""
            if not going_on:
                return

    async def list(self, kind: str, selector: str = "", *, fields: str = "") -> tuple[Items, str]:
        """Return all objects and the version of the list, from which a watch goes on."""
        try:
            return await self._all(kind, selector, fields, PAGE)
        except Gone:
            return await self._all(kind, selector, fields, 0)  # at once: no page can be too late

    async def _all(self, kind: str, selector: str, fields: str, limit: int) -> tuple[Items, str]:
        items: Items = []
        version = ""
        async for page, of_list in self.pages(kind, selector, fields=fields, limit=limit):
            items += page
            version = of_list
        return items, version

    async def watch(
        self,
        kind: str,
        selector: str = "",
        *,
        resource_version: str,
        timeout_seconds: int = 300,
        bookmarks: bool = True,
    ) -> AsyncGenerator[Json, None]:
        """Yield what happens from a version on, as ``{"type": …, "object": …}``.

        Ends when the server has had enough; nothing is repeated here. Close it (``aclosing``) when
        leaving early.

        Raises
        ------
        Gone
            The version is too old.
        ClusterAway
            The connection broke, or the server is overloaded.
        """
        query = given(labelSelector=selector, resourceVersion=resource_version) | {
            "watch": "1",
            "timeoutSeconds": str(timeout_seconds),
            "allowWatchBookmarks": str(bookmarks).lower(),
        }
        request = self._request("GET", "watch", kind, query=query)
        request = replace(request, silence=timeout_seconds + _LATE, tries=False)
        async with self._transport.stream(request) as content:
            while line := await content.readline():
                yield self._event(line, request.call)

    def _event(self, line: bytes, call: Call) -> Json:
        try:
            event: Json = json.loads(line)
        except ValueError as error:
            # Cut in the middle: the connection is gone.
            raise unreachable(
                ConnectionResetError("a watch ended inside of an event"), self.host
            ) from error
        if event.get("type") == "ERROR":
            status = event.get("object") or {}
            raise words.refusal(int(status.get("code") or 500), status, call)
        return event

    async def apply(self, obj: Mapping[str, Any]) -> Json:
        """Make an object as it is given, or change it to that, also where others changed it.

        Server-side apply: fields that are no longer given and that are ours go.
        """
        name = str(obj["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        request = self._request("PATCH", "patch", str(obj["kind"]), name, query=query)
        return await self._transport.json(replace(request, body=obj, content_type=_APPLY))

    async def create(self, obj: Mapping[str, Any]) -> Json:
        """Make an object.

        Raises
        ------
        Clash
            There is one of this name (code ``cluster_exists``).
        """
        query = {"fieldManager": FIELD_MANAGER}
        request = self._request("POST", "create", str(obj["kind"]), query=query)
        return await self._transport.json(replace(request, body=obj, again=False))

    async def patch(self, kind: str, name: str, merge_patch: Mapping[str, Any]) -> Json:
        """Change fields of an object; None removes one.

        Raises
        ------
        Missing
            It is not there.
        """
        query = {"fieldManager": FIELD_MANAGER}
        request = self._request("PATCH", "patch", kind, name, query=query)
        return await self._transport.json(replace(request, body=merge_patch, content_type=_MERGE))

    async def delete(
        self,
        kind: str,
        name: str,
        *,
        grace_seconds: int | None = None,
        propagation: str = "Background",
        uid: str | None = None,
    ) -> None:
        """Delete an object; no-op when it is gone.

        Parameters
        ----------
        grace_seconds
            What its processes get for their end; None: what the object says.
        uid
            Only the object of this id, not a later one of the same name.
        """
        options = delete_options(grace_seconds, propagation)
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        request = replace(self._request("DELETE", "delete", kind, name), body=options)
        try:
            await self._transport.json(request)
        except Missing:
            return
        except Refused as error:
            if uid is None or error.detail["status"] != _CONFLICT:
                raise

    async def delete_all(
        self, kind: str, selector: str, *, grace_seconds: int | None = None
    ) -> None:
        """Delete every object with these labels; a selector must be given."""
        if not selector:
            raise ValueError("delete_all needs a selector")
        request = self._request(
            "DELETE", "deletecollection", kind, query={"labelSelector": selector}
        )
        options = delete_options(grace_seconds, "Background")
        await self._transport.json(replace(request, body=options))

    async def log(
        self, pod: str, container: str, wanted: LogQuery = WHOLE_LOG
    ) -> AsyncGenerator[bytes, None]:
        """Yield what a container has written; close it (``aclosing``) when leaving early.

        What is followed is asked for once: who follows goes on later, and knows from where.

        Raises
        ------
        Refused
            The container has not started (code ``cluster_invalid``), or its log is gone.
        ClusterAway
            The connection broke, or the node does not answer.
        """
        query = wanted.parameters() | {"container": container}
        path = KINDS["Pod"].path(self.namespace, pod) + "/log"
        call = Call("get", "pods/log", name=pod, namespace=self.namespace)
        silence = None if wanted.follow else _LOG_SILENCE
        request = Request(method="GET", path=path, call=call, query=query, silence=silence)
        request = replace(request, tries=not wanted.follow)
        async with self._transport.stream(request) as content:
            async for data in content.iter_any():
                yield data

    async def events_of(self, name: str, *, kind: str = "Pod", uid: str = "") -> Items:
        """Return what has been said about an object, newest first."""
        fields = f"involvedObject.kind={kind},involvedObject.name={name}"
        if uid:
            fields += f",involvedObject.uid={uid}"
        found, _ = await self.list("Event", fields=fields)
        return sorted(found, key=event_time, reverse=True)

    async def can(self, verb: str, kind: str, subresource: str = "") -> bool:
        """Say whether our account may do this in the namespace."""
        found = KINDS[kind]
        attributes = {
            "verb": verb,
            "group": found.group,
            "resource": found.plural,
            "subresource": subresource,
            "namespace": self.namespace if found.namespaced else "",
        }
        review = {
            "apiVersion": KINDS["SelfSubjectAccessReview"].api,
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        request = self._request("POST", "create", "SelfSubjectAccessReview")
        answer = await self._transport.json(replace(request, body=review))
        return bool(answer["status"].get("allowed"))

    async def nodes(self) -> Items | None:
        """Return the cluster's nodes as they are or were a moment ago; None when we may not see them.

        They are many and large, and are asked for by each pod that waits and each admission.
        """
        return await self._nodes.get()

    async def _list_nodes(self) -> Items | None:
        try:
            return (await self.list("Node"))[0]
        except Refused as error:
            if error.detail["status"] != _FORBIDDEN:
                raise
            return None

    async def pod_metrics(self, selector: str = "") -> Items | None:
        """Return what the metrics API knows of pods; None where the cluster has none, or none now."""
        query = given(labelSelector=selector)
        request = self._request("GET", "list", "PodMetrics", query=query)
        try:
            found = await self._transport.json(replace(request, tries=False))
        except (Missing, ClusterAway):
            return None
        return whole(KINDS["PodMetrics"], found.get("items") or [])

    def _request(
        self,
        method: str,
        verb: str,
        kind: str,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
    ) -> Request:
        found = KINDS[kind]
        namespace = self.namespace if found.namespaced else ""
        call = Call(verb, found.plural, found.group, name, namespace)
        path = found.path(self.namespace, name)
        return Request(method=method, path=path, call=call, query=query or {})
