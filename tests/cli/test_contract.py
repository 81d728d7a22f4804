"""What holds for every command: --json, exit codes, where words go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import kpl_lab
from kpl_lab.cli.kpl import cli
from kpl_lab.errors import BY_STATUS, KplError
from tests.cli.conftest import Kpl
from tests.doubles.platform import Platform


def commands(group: click.Group = cli, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        path = (*before, name)
        if isinstance(command, click.Group):
            yield from commands(command, path)
        else:
            yield path


ALL = sorted(commands())
WITHOUT_JSON = {("completion",)}


def command_of(path: tuple[str, ...]) -> click.Command:
    found: click.Command = cli
    for word in path:
        assert isinstance(found, click.Group)
        found = found.commands[word]
    return found


@pytest.mark.parametrize("words", [" ".join(path) for path in ALL])
def test_every_command_has_help_for_itself_and_each_option(words: str) -> None:
    command = command_of(tuple(words.split()))
    assert command.help
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert [one.name for one in options if not one.help] == []
    taken = {flag for one in options for flag in one.opts}
    if tuple(words.split()) not in WITHOUT_JSON:
        assert {"--json", "--url", "--token"} <= taken


def test_the_commands_are_those_of_the_manual() -> None:
    assert {" ".join(path) for path in ALL} == {
        "dataset create", "dataset list", "dataset show", "dataset download", "dataset mount",
        "dataset unmount", "dataset delete",
        "task submit", "task list", "task show", "task logs", "task metrics", "task stop",
        "task delete", "task log",
        "algorithm publish", "algorithm list", "algorithm show", "algorithm delete",
        "model list", "model show", "model create", "model download", "model delete",
        "service deploy", "service list", "service show", "service call", "service logs", "service log",
        "service scale", "service stop", "service start", "service delete",
        "service update", "service traffic", "service promote", "service rollback", "service drop",
        "server list", "server start", "server stop", "server history",
        "image list", "image show", "image register", "image set", "image look", "image delete",
        "image build", "image load", "image save", "build list", "build show", "build logs", "build log",
        "build stop", "pool list", "login", "version", "completion",
    }  # fmt: skip


CODES = {
    "unavailable": 3,
    "not_found": 4,
    "unauthenticated": 5,
    "forbidden": 5,
}


@pytest.mark.parametrize("kind", sorted(BY_STATUS.values(), key=str))
def test_each_failure_has_its_exit_code_and_a_sentence(
    kpl_: Kpl, platform: Platform, kind: type[KplError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_lab.client.client.DEFAULT_RETRY_SECONDS", 0)

    def refuse(request: object) -> None:
        raise kind("The reason, and what to do.")

    platform.before_request = refuse
    said = kpl_("dataset", "show", "digits", "--json")
    assert said.code == CODES.get(kind.default_code, 1)
    assert said.out == ""
    assert said.err == "kpl: The reason, and what to do.\n"


def test_nobody_there_is_exit_code_3(kpl_alone: Kpl) -> None:
    said = kpl_alone("task", "list", "--json", "--url", "http://127.0.0.1:9", "--token", "t")
    assert (said.code, said.out) == (3, "")
    assert "http://127.0.0.1:9" in said.err
    assert "kpl-lab up" in said.err


def test_without_a_token_it_is_exit_code_5_and_the_way_to_one(kpl_alone: Kpl) -> None:
    said = kpl_alone("task", "list")
    assert (said.code, said.out) == (5, "")
    assert "kpl login" in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        "nonsense",
        "task submit",
        "task submit --algorithm a --code .",
        "task submit --algorithm a --input data",
        "task submit --algorithm a --input data=digits",
        "task submit --algorithm a --input data=folder:digits",
        "task submit --algorithm a --input data=dataset:digits:x",
        "task submit --algorithm a --input d=dataset:a --input d=dataset:b",
        "task submit --algorithm a --param x",
        "task submit --algorithm a --param a..b=1",
        "task submit --algorithm a --param x=1 --param x=2",
        "task submit --algorithm a --param x=[1",
        "task submit --algorithm a --env =1",
        "task submit --algorithm a --cpu 0",
        "task submit --algorithm a --memory much",
        "task submit --algorithm a --function deploy",
        "task submit --algorithm a --save-as save=files:x",
        "task submit --algorithm a --name 12",
        "task submit --code nowhere",
        "dataset create digits",
        "dataset create digits --from nowhere",
        "dataset create 42 --from .",
        "dataset create a/b --from .",
        "dataset create digits --from . --format zip",
        "dataset download digits:0",
        "service deploy s",
        "service deploy s --algorithm a --replicas 0",
        "service scale s",
        "service scale s 2 --replicas 3",
        "service scale s many",
        "service update s --weight 101",
        "service update s --algorithm a --code .",
        "service traffic s",
        "service traffic s half",
        "service traffic s 101",
        "service call s --file nowhere",
        "service call s --data {",
        "task list --limit 0",
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2_with_words_and_asks_nobody(
    kpl_: Kpl, platform: Platform, arguments: str
) -> None:
    said = kpl_(*arguments.split(), "--json") if arguments != "nonsense" else kpl_(arguments)
    assert said.code == 2
    assert said.out == ""
    assert "Error: " in said.err
    assert platform.requests == []


@pytest.mark.parametrize("noun", ["dataset", "model", "algorithm", "task", "service", "server"])
def test_an_empty_list_is_an_empty_list(kpl_: Kpl, noun: str) -> None:
    said = kpl_(noun, "list", "--json")
    assert (said.code, said.json, said.err) == (0, {"items": []}, "")
    said = kpl_(noun, "list")
    assert (said.code, said.out) == (0, "")
    assert said.err


def test_lists_are_newest_first_and_hold_names_as_they_are(kpl_: Kpl, platform: Platform) -> None:
    platform.add("datasets", "[bold]first[/bold]", records=1797, bytes=3_000_000, version=1)
    platform.add("datasets", "水果 检测")
    said = kpl_("dataset", "list", "--json")
    assert [item["name"] for item in said.json["items"]] == ["水果 检测", "[bold]first[/bold]"]
    assert "水果" in said.out
    lines = kpl_("dataset", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "VERSION", "RECORDS", "SIZE", "CREATED"]
    assert lines[2].startswith("[bold]first[/bold]")
    assert "2.9 MiB" in lines[2]


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    # A real pipe: what Python says at its own end is part of what a user sees.
    script = "from kpl_lab.cli.kpl import main; main()"
    done = subprocess.run(
        f"{sys.executable} -c '{script}' completion bash | true; echo ${{PIPESTATUS[1]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(kpl_lab.__file__).parents[1])},
    )
    assert done.stderr == ""


def test_completion_is_printed_for_each_shell(kpl_alone: Kpl) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_KPL_COMPLETE" in kpl_alone("completion", shell).out


def test_version_tells_both_sides(kpl_: Kpl) -> None:
    assert kpl_("version", "--json").json == {
        "kpl": "0.1.0", "version": "0.1.0", "api_version": "v1", "engine": "local",
    }  # fmt: skip
    assert kpl_("version").out.splitlines() == [
        "KPL       0.1.0", "PLATFORM  0.1.0", "API       v1", "ENGINE    local",
    ]  # fmt: skip


def test_options_of_the_address_work_before_and_after_the_words(
    kpl_alone: Kpl, platform: Platform, server: object
) -> None:
    url = getattr(server, "url", "")
    for arguments in (
        ("--url", url, "--token", "right-token", "task", "list", "--json"),
        ("task", "list", "--url", url, "--token", "right-token", "--json"),
    ):
        said = kpl_alone(*arguments)
        assert (said.code, json.loads(said.out)) == (0, {"items": []})
