"""Parts of the local engine on their own: groups of version 2, accounts, closed folders, probes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kpl_lab.engines.local import cgroups, environments, namespace, processes, syscalls
from kpl_lab.engines.local.accounts import Accounts
from kpl_lab.engines.local.cgroups import Group, Hierarchy
from kpl_lab.engines.local.connect_filter import SERVICE_PORTS
from kpl_lab.engines.local.logpump import LogPump
from kpl_lab.engines.local.options import LocalOptions, load_options
from kpl_lab.engines.local.plan import Ceilings
from kpl_lab.engines.local.status import Status, reserve_room
from kpl_lab.engines.local.syscalls import MountFlag
from kpl_lab.engines.running.probe import Probe, free_port
from kpl_lab.errors import EngineError, Invalid
from kpl_lab.layers import first_lines
from kpl_lab.settings import Home

CEILINGS = Ceilings(cpu=1.5, memory_mb=100, shm_mb=64, processes=50, log_bytes=1000)


def proc_with(tmp_path: Path, *, own: str, mount: Path, kind: str, options: str) -> Path:
    """Return a ``/proc/self`` that tells of one mount."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(own)
    (proc / "mountinfo").write_text(
        f"30 23 0:26 / {mount} rw,nosuid shared:4 - {kind} {kind} {options}\n"
    )
    return proc


def test_groups_of_version_2_are_made_where_controllers_can_be_given(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    root.mkdir()
    proc = proc_with(tmp_path, own="0::/user.slice\n", mount=root, kind="cgroup2", options="rw")
    found = cgroups.detect("i1", proc=proc)
    assert found == Hierarchy("v2", dict.fromkeys(("memory", "cpu", "pids"), f"{root}/kpl-i1"))
    assert (root / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert (root / "kpl-i1" / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"


def test_limits_of_version_2_are_written_and_numbers_read(tmp_path: Path) -> None:
    (tmp_path / "kpl-i1").mkdir()
    parents = dict.fromkeys(("memory", "cpu", "pids"), str(tmp_path / "kpl-i1"))
    group = Group.below(Hierarchy("v2", parents), "task-1-1-0")
    group.create(CEILINGS)
    folder = tmp_path / "kpl-i1" / "task-1-1-0"
    limits = {name: (folder / name).read_text() for name in ("memory.max", "cpu.max", "pids.max")}
    assert limits == {
        "memory.max": str(100 << 20),
        "cpu.max": "150000 100000",
        "pids.max": "50",
    }
    (folder / "memory.current").write_text(str(70 << 20))
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {20 << 20}\n")
    (folder / "memory.events").write_text("low 0\nmax 7\noom 3\noom_kill 2\n")
    (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    assert (group.memory_mb(), group.oom_kills(), group.cpu_seconds()) == (50, 2, 2.5)


def test_groups_are_found_beside_mounts_whose_names_are_no_text(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    root.mkdir()
    proc = proc_with(tmp_path, own="0::/\n", mount=root, kind="cgroup2", options="rw")
    with (proc / "mountinfo").open("ab") as file:
        file.write(b"31 23 0:27 / /media/\xff\xfe rw - vfat /dev/sdb1 rw\n")
    assert cgroups.detect("i1", proc=proc).mode == "v2"


def test_without_a_usable_group_there_is_none(tmp_path: Path) -> None:
    proc = proc_with(
        tmp_path, own="0::/\n", mount=tmp_path / "absent", kind="cgroup2", options="ro"
    )
    assert cgroups.detect("i1", proc=proc) == cgroups.NONE
    assert cgroups.detect("i1", "none") == cgroups.NONE


def test_the_tightest_memory_limit_above_us_counts(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "memory.max").write_text(str(300 << 20))
    (root / "a" / "b" / "memory.max").write_text("max")
    proc = proc_with(tmp_path, own="0::/a/b\n", mount=root, kind="cgroup2", options="rw")
    assert cgroups.machine_memory_limit_mb(proc) == 300


@pytest.mark.skipif(os.geteuid() != 0, reason="accounts are given as root only")
class TestAccounts:
    """The ledger of accounts."""

    def ledger(self, tmp_path: Path, seed: str = "s") -> Accounts:
        options = LocalOptions(uid_first=30000, uid_last=30010)
        return Accounts(tmp_path / "uids.json", options, seed=seed)

    def test_an_identity_keeps_its_number(self, tmp_path: Path) -> None:
        first = self.ledger(tmp_path).get("user:alice")
        assert self.ledger(tmp_path).get("user:alice") == first
        assert 30000 <= first.uid <= 30010

    def test_a_freed_number_is_not_given_again_soon(self, tmp_path: Path) -> None:
        accounts = self.ledger(tmp_path)
        first = accounts.get("task:1")
        accounts.free_all("task:1")
        assert accounts.get("task:2") != first

    def test_replicas_are_freed_with_their_service_and_nobody_else(self, tmp_path: Path) -> None:
        accounts = self.ledger(tmp_path)
        for name in ("service:1/0", "service:1/1"):
            accounts.get(name)
        other = accounts.get("service:11/0")
        accounts.free_all("service:1")
        taken = {accounts.get(f"task:{n}").uid for n in range(10)}
        assert len(taken) == 10
        assert other.uid not in taken

    def test_a_used_up_range_is_told(self, tmp_path: Path) -> None:
        accounts = self.ledger(tmp_path)
        for number in range(11):
            accounts.get(f"task:{number}")
        with pytest.raises(EngineError) as refused:
            accounts.get("task:11")
        assert refused.value.code == "no_account"


def test_the_uppermost_closed_folder_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    strangers = (61999, 61999)
    for folder in (tmp_path, deep.parent, deep):
        folder.chmod(0o755)
    above = namespace.first_closed(tmp_path, *strangers)
    if above is None:
        assert namespace.first_closed(deep, *strangers) is None
        deep.parent.chmod(0o700)
        assert namespace.first_closed(deep, *strangers) == deep.parent
        return
    assert namespace.first_closed(deep, *strangers) == above
    assert above in (*tmp_path.parents, tmp_path)


@pytest.mark.skipif(not namespace.can_enter(), reason="needs CAP_SYS_ADMIN")
def test_below_a_closed_folder_only_what_is_named_is_seen(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    for name in ("shown", "state", "hidden"):
        (closed / "deep" / name).mkdir(parents=True)
        (closed / "deep" / name).chmod(0o777)
    closed.chmod(0o700)
    code = (
        "import os, sys, pathlib\n"
        "root = pathlib.Path(sys.argv[1]); print(sorted(os.listdir(root)), os.getuid())\n"
        "(root / 'state' / 'x').touch()\n"
        "try: (root / 'shown' / 'x').touch()\n"
        "except OSError as e: print(e.strerror)\n"
    )

    def become() -> None:
        paths = (*namespace.platform_paths(), closed / "deep" / "shown")
        namespace.enter(paths, (closed / "deep" / "state",), uid=61999, gid=61999)
        namespace.drop_to(61999, 61999)

    found = subprocess.run(
        [sys.executable, "-c", code, str(closed / "deep")],
        preexec_fn=become,
        capture_output=True,
        text=True,
        cwd="/",
        check=True,
    )
    assert found.stdout.splitlines() == ["['shown', 'state'] 61999", "Read-only file system"]
    assert (closed / "deep" / "state" / "x").exists()


def test_a_process_is_known_by_more_than_its_pid() -> None:
    me = processes.ProcessId.of(os.getpid())
    assert me is not None
    assert me.is_alive()
    assert not processes.ProcessId(me.pid, me.start + 1, me.boot).is_alive()
    assert not processes.ProcessId(me.pid, me.start, "another").is_alive()


@pytest.mark.parametrize(
    "name", [b"train-\xe8\xae\xad\xe7\xbb\x83\xe6\xa8", b"\xff\xfe", b"a) Z 1 (b"]
)
def test_a_process_is_found_whatever_it_calls_itself(name: bytes) -> None:
    code = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(15, bytes.fromhex(sys.argv[1]))\n"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, name.hex()],
        env={"KPL_TEST_NAME": name.hex()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        assert name in (Path("/proc") / str(child.pid) / "stat").read_bytes()
        found = processes.read_stat(child.pid)
        assert found is not None
        assert found.parent == os.getpid()
        assert child.pid in processes.descendants(os.getpid())
        assert processes.pids_with_variable(f"KPL_TEST_NAME={name.hex()}") == [child.pid]
        assert child.pid in processes.pids_of_user(os.geteuid())
        child.communicate()


@pytest.mark.skipif(not namespace.can_enter(), reason="needs CAP_SYS_ADMIN")
def test_mount_points_are_found_whatever_they_are_called(tmp_path: Path) -> None:
    places = [tmp_path / os.fsdecode(name) for name in (b"\xff\xfe", b"a b\\040", b"\xc2\x85")]
    code = "from kpl_lab.engines.local.mounts import mount_points as m; print(ascii(m()))"

    def become() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, MountFlag.REC | MountFlag.PRIVATE)
        for place in places:
            place.mkdir()
            syscalls.mount("tmpfs", place, "tmpfs", MountFlag(0))

    found = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=become, capture_output=True, text=True, check=True
    )
    assert all(ascii(place) in found.stdout for place in places)


def test_sealing_an_environment_writes_through_no_link_of_its_build(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = tmp_path / "environment"
    folder.mkdir()
    (folder / f"{environments.MARKER}.new").symlink_to(precious)
    (folder / environments.MARKER).mkdir()
    environments.seal(folder, "/base")
    assert precious.read_text() == "mine"
    assert environments.base_of(folder) == Path("/base")


def test_listening_ports_are_those_of_the_named_processes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        assert one.getsockname()[1] in processes.listening_ports([os.getpid()])
        assert one.getsockname()[1] not in processes.listening_ports([os.getppid()])


def test_a_probe_of_a_closed_port_fails_and_of_an_open_one_does_not() -> None:
    port = free_port(0, SERVICE_PORTS)

    def outcome() -> bool:
        probe = Probe(port, None, 5.0)
        while (found := probe.result()) is None:
            pass
        return found

    assert outcome() is False
    with socket.create_server(("127.0.0.1", port)):
        assert outcome() is True


def test_what_does_not_fit_the_disk_does_not_stop_the_log(tmp_path: Path) -> None:
    log = LogPump(tmp_path / "log", max_bytes=10_000, gid=os.getgid())
    os.write(log.writer, b"one\n")
    log.drain()
    log.note("two")
    log.close()
    assert (tmp_path / "log").read_text() == "one\n[kpl] two\n"


def test_a_status_is_read_as_it_was_written(tmp_path: Path) -> None:
    reserve_room(tmp_path)
    status = Status(index=3, shim=processes.ProcessId(1, 2, "b"), detail={"used_mb": 5})
    status.write(tmp_path)
    assert Status.read(tmp_path) == status
    assert Status.read(tmp_path / "absent") is None


def test_options_come_from_the_installations_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert load_options(home).health_failures == 3
    (tmp_path / "local_engine.py").write_text("c.LocalOptions.health_failures = 7\n")
    assert load_options(home).health_failures == 7
    (tmp_path / "local_engine.py").write_text("c.LocalOptions.health_failures = 'many'\n")
    with pytest.raises(Invalid, match="health_failures"):
        load_options(home)


@pytest.mark.parametrize("folder", ["plain", "with space", "x" * 150])
def test_a_script_finds_its_interpreter_wherever_that_lies(tmp_path: Path, folder: str) -> None:
    python = tmp_path / folder / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    script = tmp_path / "script"
    script.write_text(first_lines(python) + "import sys\nprint(sys.argv[1:])\n")
    script.chmod(0o755)
    found = subprocess.run([script, "a b"], capture_output=True, text=True, check=True)
    assert found.stdout == "['a b']\n"
