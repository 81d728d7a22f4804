"""Parts of the Docker engine on their own: what it asks of the daemon, how it reads its answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from kpl_lab.engines.docker import recipes
from kpl_lab.engines.docker.names import Address, Role
from kpl_lab.engines.docker.options import DockerOptions, load_options
from kpl_lab.engines.docker.plan import Plan, Sidecar, command_config, sidecar_config
from kpl_lab.engines.docker.vitals import measured
from kpl_lab.engines.running import dockerfiles
from kpl_lab.engines.running.ends import Ending, cause_of, exit_code_of
from kpl_lab.engines.running.logfile import LogPart, Mark, Marker, Position
from kpl_lab.engines.running.place import Place
from kpl_lab.engines.running.rules import pick_gpus
from kpl_lab.engines.running.service_watch import Doom, Timing
from kpl_lab.engines.spec import Cause, Limits, Recipe, RelayTarget
from kpl_lab.errors import EngineError, Invalid
from kpl_lab.settings import Home

TIMING = Timing(
    time_limit=None, grace=1, start_timeout=1, health=1, health_timeout=1, health_failures=1,
    unhealthy_restart=1, wrong_port=1, restarts_max=1, restart_first=1, restart_last=1,
    relay_wait=1, watchdog=1,
)  # fmt: skip
PLAN = Plan(
    address=Address("task-1-1", 0), labels={"owner": "alice"}, kind="task", image="image:1",
    argv=("python", "{{work}}/a.py"), environment={"IN": "{{inputs}}", "R": "{{relay}}"},
    secrets={}, inputs=[("data", "/store/d/1")], outputs=["save"], code="/store/code", home=None,
    inner_home="/kpl/home", skeleton=None, user="kpl", uid=20001, gid=20001, platform_uid=20000,
    platform_gid=20000, mounts=None, limits=Limits(cpu=1.5, memory_mb=100, gpu=2, shm_mb=8),
    gpus=[1, 3], processes=50, log_bytes=1000, network="net", port=None, timing=TIMING,
    health=None, relay=None, relay_port=17171, doors=[],
)  # fmt: skip
PLACE = Place(Path("/kpl-home/replicas/0"))


def test_a_command_is_confined_and_limited_and_is_given_its_gpus() -> None:
    found = command_config(PLAN, PLACE, "i1")
    host = found["HostConfig"]
    assert found["User"] == "20001:20001"
    assert found["Entrypoint"] + found["Cmd"] == ["python", "/kpl/work/a.py"]
    assert found["WorkingDir"] == "/kpl/work"
    assert "IN=/kpl/inputs" in found["Env"]
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges:true"])
    assert host["Init"]
    assert (host["Memory"], host["MemorySwap"]) == (100 << 20, 100 << 20)
    assert (host["NanoCpus"], host["ShmSize"], host["PidsLimit"]) == (1_500_000_000, 8 << 20, 50)
    assert host["DeviceRequests"] == [{"DeviceIDs": ["1", "3"], "Capabilities": [["gpu"]]}]


def test_without_gpus_no_device_is_asked_for() -> None:
    plan = dataclasses.replace(PLAN, gpus=[])
    assert command_config(plan, PLACE, "i1")["HostConfig"]["DeviceRequests"] == []


@pytest.mark.parametrize(
    ("count", "total", "in_use", "found"),
    [(0, 0, set(), []), (1, 2, set(), [0]), (2, 4, {0, 2}, [1, 3]), (1, 2, {0}, [1])],
)
def test_gpus_that_nobody_has_are_given_out(
    count: int, total: int, in_use: set[int], found: list[int]
) -> None:
    assert pick_gpus(count, total, in_use) == found


def test_more_gpus_than_are_free_are_refused() -> None:
    with pytest.raises(EngineError) as refused:
        pick_gpus(2, 2, {0})
    assert refused.value.detail == {"asked": 2, "free": 1, "total": 2}
    with pytest.raises(EngineError, match="It asks for 1 GPU, with 0 of 2 free;"):
        pick_gpus(1, 2, {0, 1})


def test_inputs_are_mounted_read_only_and_live_mounts_arrive_from_outside_alone() -> None:
    plan = dataclasses.replace(
        PLAN, kind="server", home="/kpl-home/homes/a", inner_home="/home/a", mounts="/m", port=8888
    )
    mounts = {m["Target"]: m for m in command_config(plan, PLACE, "i1")["HostConfig"]["Mounts"]}
    assert mounts["/kpl/inputs/data"]["ReadOnly"]
    assert mounts["/home/a/datasets"]["BindOptions"] == {"Propagation": "rslave"}
    writable = {target for target, mount in mounts.items() if not mount["ReadOnly"]}
    assert writable == {"/kpl", "/tmp", "/home/a"}


def test_a_command_with_a_relay_waits_until_it_listens() -> None:
    relay = RelayTarget(url="http://127.0.0.1:1/r", token="t", metric_token="m", task_id=1)
    plan = dataclasses.replace(PLAN, relay=relay)
    found = command_config(plan, PLACE, "i1")
    assert "R=http://127.0.0.1:17171" in found["Env"]
    assert found["Entrypoint"] == ["/bin/sh"]
    assert found["Cmd"][-2:] == ["python", "/kpl/work/a.py"]
    relay_beside = Sidecar(
        role=Role.RELAY, module="relay", folder=PLACE.relay, shown={"/kpl/outputs": PLACE.outputs}
    )
    beside = sidecar_config(plan, relay_beside, "i1", "c1", "base:1")
    assert beside["HostConfig"]["NetworkMode"] == "container:c1"
    assert beside["HostConfig"]["RestartPolicy"] == {"Name": "always"}
    assert beside["User"] == "20000:20000"
    assert beside["Labels"]["kpl.role"] == "relay"


def test_a_container_is_found_by_its_labels_and_its_name_is_bounded() -> None:
    address = Address("w" * 64, 12, Role.RELAY)
    assert len(address.container("12345678")) < 100
    labels = address.labels("12345678", {"owner": "alice", "id": "3"})
    assert Address.of_labels(labels) == address
    assert labels["kpl.owner"] == "alice"
    assert Address.of_labels({"other": "x"}) is None


@pytest.mark.parametrize(
    ("code", "found"), [(0, 0), (3, 3), (127, 127), (128, 128), (137, -9), (143, -15), (255, 255)]
)
def test_an_exit_code_tells_a_signal_as_a_shell_does(code: int, found: int) -> None:
    assert exit_code_of(code) == found


ENDING = Ending(
    exit_code=1, doom=None, limit_mb=64, is_short_of_memory=False, is_disk_full=False,
    is_foreign=False, is_unseen=False, last_line="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, Cause.EXIT),
        ({"exit_code": 0, "is_short_of_memory": True}, Cause.EXIT),
        ({"is_short_of_memory": True}, Cause.OUT_OF_MEMORY),
        ({"is_short_of_memory": True, "doom": Doom(Cause.STOPPED)}, Cause.STOPPED),
        ({"is_disk_full": True}, Cause.DISK_FULL),
        ({"exit_code": -11}, Cause.SIGNAL),
        ({"exit_code": -9}, Cause.KILLED),
        ({"exit_code": -15, "is_foreign": True}, Cause.KILLED),
        ({"exit_code": -15, "is_unseen": True}, Cause.LOST),
        ({"exit_code": 127}, Cause.EXIT),
        ({"exit_code": 127, "last_line": "[FATAL tini (7)] exec x failed"}, Cause.START_FAILED),
    ],
)
def test_why_a_run_has_ended(changes: dict[str, object], cause: Cause) -> None:
    assert cause_of(dataclasses.replace(ENDING, **changes)).cause is cause  # type: ignore[arg-type]


def test_a_dockerfile_holds_each_line_as_it_is() -> None:
    recipe = Recipe(
        digest="d", workspace="w", base="", runs=("a \\\nFROM evil", 'b "c" \u6587'),
        limits=Limits(cpu=1.5, memory_mb=100),
    )  # fmt: skip
    options = DockerOptions(base_image="base:1", build_arguments={"A": "1"})
    assert dockerfiles.dockerfile(recipe, options).splitlines() == [
        "FROM base:1",
        "ARG A",
        'RUN ["/bin/sh", "-c", "a \\\\\\nFROM evil"]',
        'RUN ["/bin/sh", "-c", "b \\"c\\" \\u6587"]',
    ]
    found = recipes.parameters(recipe, options, "i1")
    assert (found["memory"], found["cpuquota"]) == (str(100 << 20), "150000")


@pytest.mark.parametrize("base", ["a b", "a\nRUN x", "--platform=x", ""])
def test_a_base_is_a_reference_and_nothing_else(base: str) -> None:
    with pytest.raises(EngineError):
        dockerfiles.check_base(base)


def test_a_sample_without_numbers_is_of_something_that_does_not_run() -> None:
    assert measured({"memory_stats": {}}) is None
    assert measured(None) is None


@pytest.mark.parametrize("kinds", [{"total_inactive_file": 1 << 20}, {"inactive_file": 1 << 20}])
def test_pages_that_can_be_dropped_are_no_use(kinds: dict[str, int]) -> None:
    found = measured(
        {
            "memory_stats": {"usage": 5 << 20, "max_usage": 7 << 20, "stats": kinds},
            "cpu_stats": {"cpu_usage": {"total_usage": 2 * 10**9}},
            "pids_stats": {"current": 3},
        }
    )
    assert found is not None
    numbers = (found.memory_mb, found.memory_peak_mb, found.cpu_seconds, found.processes)
    assert numbers == (4, 7, 2.0, 3)


def part(second: float, data: bytes = b"x\n", stream: int = 1) -> LogPart:
    """Return a piece of a log at a second."""
    return LogPart(f"2026-11-21T11:00:{second:012.9f}Z", data, stream)


def resumed(parts: list[LogPart], kept: int, batch: int) -> list[LogPart]:
    """Return what a log has that was taken in batches, left after some, and taken up again.

    As Docker answers: everything from the mark's time on, in the order of the log.
    """
    position = Position()
    marker = Marker(position)
    for begin in range(0, kept, batch):
        marker.note(parts[begin : min(begin + batch, kept)])
    mark = position.mark
    again = [one for one in parts if mark.time is None or one.time >= mark.time]
    return parts[:kept] + again[mark.count :]


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_a_log_that_is_taken_up_again_has_every_piece_once(batch: int) -> None:
    parts = []
    for n in range(30):
        parts += [
            part(n * 0.3),
            part(n * 0.3, stream=2),  # the same time, of another stream
            part(n * 0.3 + 0.1, b"begin of a long line"),
            part(n * 0.3 + 0.2, stream=2),
            part(n * 0.3 + 0.1, b" and its end, of the time of its beginning\n"),
        ]
    for kept in range(len(parts)):
        assert resumed(parts, kept, batch) == parts


def test_a_mark_moves_on_so_that_little_is_asked_for_again() -> None:
    position = Position()
    marker = Marker(position)
    for n in range(50):
        marker.note([part(n)])
    assert position.mark == Mark(part(48).time, 2)


def test_a_position_survives_its_file(tmp_path: Path) -> None:
    position = Position(mark=Mark("2026", 3), offset=7, open_lines=[2])
    position.write(tmp_path / "p")
    assert Position.read(tmp_path / "p") == position
    (tmp_path / "p").write_text("torn")
    assert Position.read(tmp_path / "p") == Position()


def test_options_are_read_from_the_installation(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert load_options(home).pull
    (tmp_path / "docker_engine.py").write_text("c.DockerOptions.pull = False\n")
    assert not load_options(home).pull
    (tmp_path / "docker_engine.py").write_text("c.DockerOptions.pull = 'x'\n")
    with pytest.raises(Invalid):
        load_options(home)
