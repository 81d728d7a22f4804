"""What a command is told, what is written on its object, and what stays secret."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects import objects, parts
from kpl_lab.engines.kubernetes.objects.environment import escape
from kpl_lab.engines.kubernetes.plan import Plan
from kpl_lab.engines.spec import Kind
from kpl_lab.errors import EngineError
from tests.engines.kubernetes.plans import (
    AGENT,
    PLANS,
    RELAY,
    command_of,
    dollars,
    environment_of,
    every_plan,
    expanded,
    found,
    plan_of,
    strings,
    texts,
)

# Words and variables


def test_the_words_of_users_arrive_as_they_wrote_them() -> None:
    command = command_of(PLANS["task"])
    assert command["command"] == ["/bin/sh"]
    given = [expanded(word, {"HOME": "/wrong"}) for word in command["args"]]
    assert given == ["-c", "echo $$ $(HOME) {{work}}"]


def test_without_templates_every_word_and_value_is_filled() -> None:
    plan = PLANS["server"]
    command = command_of(plan)
    words = [expanded(word, {"X": "wrong"}) for word in command["command"] + command["args"]]
    assert words == ["python", "-m", "lab", "--ip=0.0.0.0", "--port=8888", "/home/carol/$(X)"]
    key = environment_of(plan)["ROOT"][1]
    assert found(plan, "Secret")["stringData"][key] == "/home/carol"


def test_an_image_keeps_its_own_command_where_none_is_given() -> None:
    assert not {"command", "args"} & command_of(PLANS["build"]).keys()


def test_a_task_is_told_where_its_things_are_and_other_values_are_left_alone() -> None:
    plan = PLANS["task"]
    environment, secret = environment_of(plan), found(plan, "Secret")["stringData"]
    told = {name: secret[environment[name][1]] for name in plan.workload.environment}
    assert told == {
        "DATA": "/kpl/inputs/data",
        "RELAY": "http://127.0.0.1:17171",
        "OWN": "{{inputs}} $(HOME)",
    }
    assert environment["HOME"] == "/kpl/home"
    assert command_of(plan)["workingDir"] == "/kpl/work"
    assert "HOST" not in environment


@pytest.mark.parametrize(
    ("identity", "user"), [("user:a$(B)", "a$$(B)"), ("task:1", "kpl"), ("service:2", "kpl")]
)
def test_the_user_is_a_person_by_name_and_kpl_for_all_others(identity: str, user: str) -> None:
    environment = environment_of(plan_of(Kind.TASK, identity=identity))
    assert environment["USER"] == environment["LOGNAME"] == user


def test_each_pod_of_a_distributed_task_knows_its_number() -> None:
    plan = plan_of(
        Kind.TASK, replicas=2, environment={"RANK": "{{replica}}/$(A)/{{work}}", "OWN": "{{replica}}"},
        templates=("RANK",),
    )  # fmt: skip
    environment = environment_of(plan)
    label = "metadata.labels['batch.kubernetes.io/job-completion-index']"
    assert environment["KPL_REPLICA"] == ("pod", label)
    assert expanded(environment["RANK"], {"KPL_REPLICA": "1", "A": "x"}) == "1/$(A)//kpl/work"
    order = list(environment)
    assert order.index("KPL_REPLICA") < order.index("RANK")
    assert found(plan, "Secret")["stringData"][environment["OWN"][1]] == "{{replica}}"


@pytest.mark.parametrize("kind", [Kind.TASK, Kind.SERVICE, Kind.SERVER])
def test_where_pods_have_no_number_it_is_none_but_the_first(kind: Kind) -> None:
    plan = plan_of(
        kind, environment={"RANK": "{{replica}}"}, templates=None, command=("a", "{{replica}}")
    )
    environment = environment_of(plan)
    assert "KPL_REPLICA" not in environment
    assert found(plan, "Secret")["stringData"][environment["RANK"][1]] == "0"
    assert command_of(plan)["args"] == ["0"]


def test_a_service_is_asked_where_it_listens() -> None:
    plain, checked = command_of(PLANS["service"]), command_of(PLANS["checked service"])
    assert plain["ports"] == [{"name": "http", "containerPort": 9000, "protocol": "TCP"}]
    assert plain["readinessProbe"]["tcpSocket"] == {"port": 9000}
    probe = checked["readinessProbe"]
    assert probe["httpGet"] == {"path": "/health?deep=1", "port": 9000, "scheme": "HTTP"}
    assert (probe["periodSeconds"], probe["timeoutSeconds"], probe["failureThreshold"]) == (5, 3, 3)
    assert environment_of(PLANS["service"])["HOST"] == "0.0.0.0"
    assert not {"ports", "readinessProbe", "startupProbe"} & command_of(PLANS["task"]).keys()


def test_a_service_that_starts_is_asked_each_second_and_ended_by_its_agent_alone() -> None:
    probe = command_of(plan_of(Kind.SERVICE, start_timeout_seconds=7.5))["startupProbe"]
    assert probe["periodSeconds"] == 1
    assert probe["failureThreshold"] > math.ceil(7.5)
    assert "livenessProbe" not in command_of(PLANS["service"])


# What is written on them


@every_plan
def test_an_empty_folder_is_filled_from_what_is_written_on_the_object(plan: Plan) -> None:
    workload = plan.workload
    read = parts.workload_of(objects(plan)[-1]["metadata"]["annotations"])
    assert read is not None
    assert dataclasses.replace(read, environment={}, secrets={}, relay=None) == dataclasses.replace(
        workload, environment={}, secrets={}, relay=None
    )
    assert list(read.environment) == list(workload.environment)
    assert list(read.secrets) == list(workload.secrets)
    assert (read.relay is None) == (workload.relay is None)


@pytest.mark.parametrize("text", ["", "[]", '{"name": "x"}', "{"])
def test_what_others_wrote_is_no_workload(text: str) -> None:
    assert parts.workload_of({names.SPEC: text}) is None
    assert parts.workload_of({}) is None


def test_a_workload_that_is_too_large_is_refused_before_the_cluster_does() -> None:
    with pytest.raises(EngineError) as refused:
        objects(plan_of(Kind.TASK, command=("x" * 210_000,)))
    assert refused.value.code == "too_large"
    with pytest.raises(EngineError) as refused:
        objects(plan_of(Kind.TASK, environment={"A": "é" * 520_000}))
    assert refused.value.code == "too_large"
    assert refused.value.detail["bytes"] > 1_040_000
    assert objects(plan_of(Kind.TASK, environment={"A": "x" * 900_000}))


SECRET_VALUE = st.from_regex(r"s3cr3t-[a-z0-9]{12}", fullmatch=True)


@given(st.one_of(dollars, texts))
def test_what_is_escaped_arrives_as_it_was(text: str) -> None:
    assert expanded(escape(text), {"A": "wrong", "AB": "wrong", "": "wrong"}) == text


@given(st.lists(dollars, min_size=1, max_size=4), st.booleans())
def test_no_word_of_a_user_is_filled_by_kubernetes(command: list[str], is_filled: bool) -> None:
    plan = plan_of(
        Kind.TASK, replicas=2, command=tuple(command), templates=None if is_filled else ()
    )
    container = command_of(plan)
    known = {"A": "wrong", "AB": "wrong", "KPL_REPLICA": "wrong"}
    words = [expanded(word, known) for word in container["command"] + container.get("args", [])]
    assert words == command


@settings(suppress_health_check=[HealthCheck.too_slow])  # it says how busy the machine is
@given(
    st.sampled_from(list(Kind)),
    st.lists(SECRET_VALUE, min_size=6, max_size=6, unique=True),
    st.integers(1, 3),
)
def test_no_secret_stands_anywhere_but_in_the_secret(
    kind: Kind, values: list[str], replicas: int
) -> None:
    relay = dataclasses.replace(RELAY, token=values[0], metric_token=values[1])
    plan = plan_of(
        kind, replicas=replicas, relay=relay, environment={"A": values[2], "B": f"$({values[3]})"},
        secrets={"token": values[4]},
    )  # fmt: skip
    plan = dataclasses.replace(plan, agent={**AGENT, "token": values[5], "relay": values[0]})
    for one in objects(plan):
        text = "\n".join(strings(one))
        held = [value for value in values if value in text]
        if one["kind"] == "Secret":
            assert sorted(held) == sorted(set(values) - {values[1]})
        else:
            assert held == []
