"""The agents of nodes, as the chart makes them: privileged in one place, and nothing else of that there."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.kubernetes.node.__main__ import NODE_VARIABLE
from kpl_lab.engines.kubernetes.node.marks import ROUND, Marks
from kpl_lab.engines.kubernetes.options import load_options
from kpl_lab.settings import load
from tests.charts.conftest import Objects, Render
from tests.charts.test_chart import ALL, MADE, named, of_kind
from tests.engines.kubernetes.standards import unrestricted

ON = ["--set", "nodeAgent.enabled=true"]
NAME, NAMESPACE = "lab-kpl-lab-node", "here-node"


def daemon_set(objects: Objects) -> dict[str, Any]:
    (found,) = [one for one in of_kind(objects, "DaemonSet") if not named_for_pulls(one)]
    return found


def named_for_pulls(daemon: dict[str, Any]) -> bool:
    return str(daemon["metadata"]["name"]).endswith("-prepull")


def test_without_being_asked_nothing_is_privileged(render: Render) -> None:
    objects = render()
    assert of_kind(objects, "DaemonSet") == of_kind(objects, "Namespace") == []
    assert "rivileged" not in json.dumps(objects).replace("allowPrivilegeEscalation", "")


def test_their_pods_break_the_restricted_standard_only_where_they_must(render: Render) -> None:
    pod = daemon_set(render(*ON))["spec"]["template"]["spec"]
    assert sorted(unrestricted(pod)) == [
        "agent: is root",
        "agent: keeps capabilities",
        "agent: may be root",
        "agent: may gain privileges",
        "agent: privileged",
        "volume cache: hostPath",
        "volume pods: hostPath",
    ]
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"requests", "limits"} <= set(container["resources"])
    propagated = {one["name"]: one.get("mountPropagation") for one in container["volumeMounts"]}
    assert propagated == {"pods": "Bidirectional", "cache": None, "token": None, "marks": None}
    assert {one["name"] for one in container["env"]} == {NODE_VARIABLE, "KPL_POD"}


def test_the_kubelet_sees_what_an_agent_says_of_itself(render: Render, tmp_path: Path) -> None:
    (container,) = daemon_set(render(*ON))["spec"]["template"]["spec"]["containers"]
    (folder,) = [one.partition("=")[2] for one in container["args"] if one.startswith("--marks=")]
    assert folder in {one["mountPath"] for one in container["volumeMounts"]}

    def seen() -> tuple[bool, bool, bool]:
        words = [
            container[f"{kind}Probe"]["exec"]["command"]
            for kind in ("startup", "liveness", "readiness")
        ]
        here = [[word.replace(folder, str(tmp_path)) for word in one] for one in words]
        started, alive, ready = (subprocess.run(one, check=False).returncode == 0 for one in here)
        return started, alive, ready

    marks = Marks(tmp_path)
    assert seen() == (False, False, False)
    marks.set(is_linked=False)
    assert seen() == (True, True, False)
    marks.set(is_linked=True)
    assert seen() == (True, True, True)
    then = time.time() - 660
    os.utime(tmp_path / ROUND, (then, then))
    assert seen() == (False, False, True)  # it hangs
    Marks(tmp_path)  # and is started again
    assert seen() == (False, False, False)


def test_they_have_a_namespace_and_an_account_of_their_own_without_a_right(render: Render) -> None:
    objects = render(*ON)
    (namespace,) = of_kind(objects, "Namespace")
    assert namespace["metadata"]["name"] == NAMESPACE
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    there = [one["kind"] for one in objects if one["metadata"].get("namespace") == NAMESPACE]
    assert sorted(there) == ["DaemonSet", "NetworkPolicy", "Secret", "ServiceAccount"]
    assert not daemon_set(objects)["spec"]["template"]["spec"]["automountServiceAccountToken"]
    bound = [
        one for kind in ("RoleBinding", "ClusterRoleBinding") for one in of_kind(objects, kind)
    ]
    assert bound
    assert NAME not in {subject["name"] for one in bound for subject in one["subjects"]}


def test_both_sides_know_one_token_and_one_gate(render: Render) -> None:
    objects = render(*ON)
    ours, theirs = (
        one for one in of_kind(objects, "Secret") if one["metadata"]["name"] == NAME
    )  # fmt: skip
    assert {one["metadata"]["namespace"] for one in (ours, theirs)} == {"here", NAMESPACE}
    assert ours["data"] == theirs["data"]
    arguments = daemon_set(objects)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--gate=lab-kpl-lab-gate.here.svc:17160" in arguments
    gate = named(objects, "Service", "lab-kpl-lab-gate")
    assert gate["spec"]["ports"][0]["port"] == 17160


def test_the_runner_is_told_where_their_token_is(render: Render, tmp_path: Any) -> None:
    for words, file in (([], ""), (ON, "/run/secrets/kpl-lab-node/token")):
        objects = render(*words)
        (config,) = of_kind(objects, "ConfigMap")
        (tmp_path / "kubernetes_engine.py").write_text(config["data"]["kubernetes_engine.py"])
        settings = load({"KPL_HOME": str(tmp_path), "KPL_ENGINE": "kubernetes"})
        options = load_options(settings.home, settings.cluster)
        assert (options.node_token_file, options.has_node_agents) == (file, bool(file))
        (platform,) = of_kind(objects, "StatefulSet")
        mounted = platform["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        paths = {one["mountPath"] for one in mounted}
        assert ("/run/secrets/kpl-lab-node" in paths) is bool(file)


def test_the_policies_let_them_reach_the_gate_and_nobody_reach_them(render: Render) -> None:
    objects = render(*ON)
    (policy,) = [
        one for one in of_kind(objects, "NetworkPolicy") if one["metadata"]["name"] == NAME
    ]
    assert (policy["spec"]["podSelector"], "ingress" in policy["spec"]) == ({}, False)
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    to_gate, names = policy["spec"]["egress"]
    assert to_gate["ports"] == [{"port": 17160, "protocol": "TCP"}]
    chosen = to_gate["to"][0]["podSelector"]["matchLabels"]
    (platform,) = of_kind(objects, "StatefulSet")
    assert chosen.items() <= platform["spec"]["template"]["metadata"]["labels"].items()
    assert {one["port"] for one in names["ports"]} == {53}
    at_gate = named(objects, "NetworkPolicy", "lab-kpl-lab")["spec"]["ingress"][-1]["from"]
    labels = daemon_set(objects)["spec"]["template"]["metadata"]["labels"]
    assert at_gate[-1]["podSelector"]["matchLabels"].items() <= labels.items()
    assert at_gate[-1]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": NAMESPACE
    }


@pytest.mark.parametrize("kind", ["StatefulSet", "Service", "PodDisruptionBudget"])
def test_no_other_object_takes_their_pods_for_its_own(kind: str, render: Render) -> None:
    objects = render(*ON)
    labels = daemon_set(objects)["spec"]["template"]["metadata"]["labels"]
    for one in of_kind(objects, kind):
        chosen = one["spec"]["selector"]
        assert not chosen.get("matchLabels", chosen).items() <= labels.items()


def test_all_their_options_arrive(render: Render) -> None:
    objects = render("-f", str(ALL), *MADE)
    found = daemon_set(objects)
    pod = found["spec"]["template"]["spec"]
    assert found["metadata"]["namespace"] == "nodes"
    assert of_kind(objects, "Namespace") == []
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "servers"}
    assert pod["tolerations"] == [{"key": "servers", "operator": "Exists"}]
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert {one["hostPath"]["path"] for one in pod["volumes"] if "hostPath" in one} == {
        "/srv/kubelet/pods",
        "/srv/cache/0123abcd",
    }
    token = next(one["secret"] for one in pod["volumes"] if one["name"] == "token")
    assert (token["secretName"], token["items"]) == ("agents", [{"key": "word", "path": "token"}])
    (container,) = pod["containers"]
    assert {"--gate=outside.example:17000", "--pods=/srv/kubelet/pods", "--cache-mb=1024"} <= set(
        container["args"]
    )
    assert container["image"] == "registry.example/base:1"
    (policy,) = [
        one
        for one in of_kind(objects, "NetworkPolicy")
        if one["metadata"].get("namespace") == "nodes"
    ]
    assert policy["spec"]["egress"][0] == {"ports": [{"port": 17000, "protocol": "TCP"}]}


def test_where_nothing_else_is_said_they_are_where_workloads_are(render: Render) -> None:
    words = "workloads.nodeSelector.pool=work,workloads.tolerations[0].operator=Exists"
    pod = daemon_set(render(*ON, "--set", words))["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "work"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
