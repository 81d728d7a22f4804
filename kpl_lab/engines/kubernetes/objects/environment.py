"""Words and variables of the command: placeholders filled, and nothing left that Kubernetes would fill.

Kubernetes replaces ``$(NAME)`` in words and in values that stand in a pod, and makes one ``$`` of two
(https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/, ``Container.command``).
What comes from a Secret it leaves alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects.meta import Manifest, name_of
from kpl_lab.engines.kubernetes.plan import INPUTS, OUTPUTS, SECRETS, WORK, Plan
from kpl_lab.engines.running.rules import MEETING_PORT, user_of

_HOST = "0.0.0.0"  # noqa: S104 (of its own network, where only the platform reaches it)
_REPLICA = "{{replica}}"


def escape(text: str) -> str:
    """Return what Kubernetes turns into exactly ``text``.

    Every ``$`` is doubled: of two that users wrote (``echo $$``) it would leave one, and ``$$(A)``
    would become ``$(A)`` even where there is no variable.
    """
    return text.replace("$", "$$")


def placeholders(plan: Plan) -> dict[str, str]:
    """Return what stands for each placeholder of ``kpl_lab.engines.spec`` but the replica's number."""
    relay = f"http://127.0.0.1:{plan.shape.agent_port + 1}"
    return {
        "{{inputs}}": INPUTS,
        "{{outputs}}": OUTPUTS,
        "{{work}}": WORK,
        "{{home}}": plan.inner_home,
        "{{secrets}}": SECRETS,
        "{{relay}}": "" if plan.workload.relay is None else relay,
        "{{host}}": _HOST,
        "{{port}}": "" if plan.port is None else str(plan.port),
        "{{hosts}}": ",".join(hosts(plan)),
        "{{meeting}}": str(MEETING_PORT),
    }


def hosts(plan: Plan) -> list[str]:
    """Return the names of a task's pods: of an Indexed Job each is called after its number.

    https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
    """
    if not plan.is_numbered:
        return ["127.0.0.1"]
    name = name_of(plan)
    return [f"{name}-{index}.{name}" for index in range(plan.workload.replicas)]


def words(plan: Plan) -> list[str]:
    """Return the command as it stands in a pod."""
    if plan.workload.templates is not None:
        return [escape(word) for word in plan.workload.command]
    values = placeholders(plan)
    return [_in_pod(plan, word, values) for word in plan.workload.command]


def variables(plan: Plan) -> list[Manifest]:
    """Return the environment of the command, each name once.

    What the workload brings stands in its Secret, but for values that hold the number of the replica:
    of these there is one for all pods.
    """
    found: dict[str, Manifest] = {}
    if plan.is_numbered:
        # Before those that name it: Kubernetes knows what came earlier.
        found[names.REPLICA_VARIABLE] = _from_pod(
            names.REPLICA_VARIABLE, f"metadata.labels['{names.COMPLETION_INDEX}']"
        )
    for name, value in _defaults(plan).items():
        found[name] = {"name": name, "value": escape(value)}
    for one in _given(plan):
        reference = {"secretKeyRef": {"name": name_of(plan), "key": one.key}}
        found[one.name] = (
            {"name": one.name, "value": one.value}
            if one.is_shown
            else {"name": one.name, "valueFrom": reference}
        )
    return list(found.values())


def secret_values(plan: Plan) -> dict[str, str]:
    """Return the values of variables that the Secret holds, by key."""
    return {one.key: one.value for one in _given(plan) if not one.is_shown}


def agent_variables(*, is_together: bool = False) -> list[Manifest]:
    """Return the environment of the agent.

    Parameters
    ----------
    is_together
        It is no sidecar but starts and ends with the command; an older agent does not know of it, and serves.
    """
    found = [
        {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        _from_pod(names.POD_VARIABLE, "metadata.name"),
    ]
    return [*found, {"name": names.TOGETHER_VARIABLE, "value": "1"}] if is_together else found


@dataclass(frozen=True)
class _Given:
    """A variable of the workload; ``is_shown`` where it stands in the pod."""

    key: str
    name: str
    value: str
    is_shown: bool


def _given(plan: Plan) -> Iterator[_Given]:
    workload = plan.workload
    values = placeholders(plan)
    for index, (name, text) in enumerate(workload.environment.items()):
        if plan.is_numbered and name == names.REPLICA_VARIABLE:
            continue
        is_filled = workload.templates is None or name in workload.templates
        is_shown = is_filled and plan.is_numbered and _REPLICA in text
        value = text
        if is_shown:
            value = _in_pod(plan, text, values)
        elif is_filled:
            value = _fill(text, {_REPLICA: "0", **values})
        yield _Given(f"env.{index}", name, value, is_shown)


def _in_pod(plan: Plan, text: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders filled as it stands in a pod."""
    number = f"$({names.REPLICA_VARIABLE})" if plan.is_numbered else "0"
    return number.join(escape(_fill(part, values)) for part in text.split(_REPLICA))


def _fill(text: str, values: Mapping[str, str]) -> str:
    if "{{" in text:
        for name, value in values.items():
            text = text.replace(name, value)
    return text


def _defaults(plan: Plan) -> dict[str, str]:
    user = user_of(plan.workload.identity)
    found = {
        "HOME": plan.inner_home,
        "USER": user,
        "LOGNAME": user,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
    return {**found, "HOST": _HOST} if plan.serves else found


def _from_pod(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
