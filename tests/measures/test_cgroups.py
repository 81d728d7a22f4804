"""What is read of cgroups of both versions, from files as kernels write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from kpl_lab.measures.cgroups import Counters, statistic

# A server of 512 MiB on Linux 6.18 with version 1: 3,239,936 bytes of which 65,536 can be dropped.
V1 = {
    "memory.usage_in_bytes": "3239936\n",
    "memory.limit_in_bytes": "536870912\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    "memory.stat": (
        "cache 212992\nrss 1896448\nrss_huge 0\nshmem 0\nmapped_file 0\ndirty 24576\nwriteback 0\n"
        "pgpgin 37431\npgpgout 36916\ninactive_anon 1781760\nactive_anon 12288\ninactive_file 1\n"
        "active_file 147456\nunevictable 0\nhierarchical_memory_limit 536870912\n"
        "total_cache 212992\ntotal_rss 1896448\ntotal_inactive_anon 1781760\n"
        "total_inactive_file 65536\ntotal_active_file 147456\ntotal_unevictable 0\n"
    ),
    "cpuacct.usage": "48524228623096\n",
    "cgroup.procs": "11\n12\n",
}
# The same with version 2 (Linux 6.1, systemd's and containerd's files alike).
V2 = {
    "memory.current": "3239936\n",
    "memory.max": "536870912\n",
    "memory.events": "low 0\nhigh 0\nmax 41\noom 3\noom_kill 3\noom_group_kill 0\n",
    "memory.stat": (
        "anon 1896448\nfile 212992\nkernel 1105920\nkernel_stack 49152\npagetables 126976\n"
        "sock 0\nshmem 0\nfile_mapped 0\nfile_dirty 24576\ninactive_anon 1781760\n"
        "active_anon 12288\ninactive_file 65536\nactive_file 147456\nunevictable 0\n"
    ),
    "cpu.stat": (
        "usage_usec 48524228623\nuser_usec 40000000000\nsystem_usec 8524228623\n"
        "nr_periods 120\nnr_throttled 7\nthrottled_usec 350000\n"
    ),
    "cgroup.procs": "11\n12\n",
}
UNLIMITED = {"v1": "9223372036854771712\n", "v2": "max\n"}
LIMIT_FILE = {"v1": "memory.limit_in_bytes", "v2": "memory.max"}


@dataclass(frozen=True)
class Machine:
    """A ``/proc/self`` and the folders that it tells of."""

    proc: Path
    root: Path

    def tell(self, own: str, mounts: list[tuple[str, str, str]]) -> None:
        """Say what this process's groups are, and which (folder, kind, options) are mounted."""
        self.proc.mkdir()
        (self.proc / "cgroup").write_text(own)
        lines = [
            f"3{n} 31 0:3{n} / {self.root}/{folder} rw,relatime - {kind} {kind} {options}\n"
            for n, (folder, kind, options) in enumerate(mounts)
        ]
        lines.insert(0, "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n")
        (self.proc / "mountinfo").write_text("".join(lines))

    def fill(self, folder: str, files: dict[str, str]) -> None:
        """Make a group of these files."""
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (self.root / folder / name).write_text(text)

    def counters(self) -> Counters:
        """Return what a process there finds."""
        found = Counters.of_this_process(self.proc)
        assert found is not None
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "proc", tmp_path / "cgroup")


def part(files: dict[str, str], *words: str) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.startswith((*words, "cgroup."))}


def host_v1(machine: Machine) -> None:
    machine.tell(
        "5:memory:/kpl-i/server-1-0\n3:cpuacct:/kpl-i/server-1-0\n2:cpu:/\n0::/\n",
        [("memory", "cgroup", "rw,memory"), ("cpuacct", "cgroup", "rw,cpuacct"),
         ("unified", "cgroup2", "rw")],
    )  # fmt: skip
    machine.fill("memory/kpl-i/server-1-0", part(V1, "memory."))
    machine.fill("cpuacct/kpl-i/server-1-0", part(V1, "cpuacct."))
    machine.fill("unified", {"cgroup.procs": "1\n11\n12\n"})


def container_v1(machine: Machine) -> None:
    """Docker: the path is the machine's, the mount shows the container's part alone."""
    own = "/docker/4f5578eb"
    machine.tell(
        f"5:memory:{own}\n3:cpu,cpuacct:{own}\n",
        [("memory", "cgroup", "ro,memory"), ("cpu,cpuacct", "cgroup", "ro,cpu,cpuacct")],
    )
    machine.fill("memory", part(V1, "memory."))
    machine.fill("cpu,cpuacct", part(V1, "cpuacct."))


def host_v2(machine: Machine) -> None:
    machine.tell("0::/kpl-i/server-1-0\n", [("", "cgroup2", "rw,nsdelegate")])
    machine.fill("kpl-i/server-1-0", V2)


def container_v2(machine: Machine) -> None:
    machine.tell("0::/\n", [("", "cgroup2", "ro,nsdelegate")])
    machine.fill("", V2)


@pytest.mark.parametrize("situation", [host_v1, container_v1, host_v2, container_v2])
def test_numbers_are_the_same_in_both_versions_inside_and_outside_containers(
    machine: Machine, situation: object
) -> None:
    assert callable(situation)
    situation(machine)
    found = machine.counters()
    assert found.memory_bytes() == 3239936 - 65536
    assert found.memory_limit_bytes() == 512 << 20
    assert found.oom_kills() == 3
    assert found.cpu_seconds() == pytest.approx(48524.228623)
    assert found.pids() == [11, 12]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_no_limit_is_none(tmp_path: Path, version: str) -> None:
    (tmp_path / LIMIT_FILE[version]).write_text(UNLIMITED[version])
    assert Counters(version, {"memory": str(tmp_path)}).memory_limit_bytes() is None


def test_processor_time_of_a_group_with_strangers_in_it_is_not_ours(machine: Machine) -> None:
    machine.tell(
        "5:memory:/kpl-i/server-1-0\n3:cpuacct:/\n",
        [("cpuacct", "cgroup", "rw,cpuacct"), ("memory", "cgroup", "rw,memory")],
    )
    machine.fill("memory/kpl-i/server-1-0", part(V1, "memory."))
    machine.fill("cpuacct", part(V1, "cpuacct.") | {"cgroup.procs": "1\n2\n"})
    found = machine.counters()
    assert found.cpu_seconds() is None
    assert found.pids() == [11, 12]


def test_where_no_group_counts_memory_there_is_none(machine: Machine) -> None:
    machine.tell("0::/\n", [("unified", "cgroup2", "rw")])
    machine.fill("unified", {"cgroup.procs": "1\n"})
    assert Counters.of_this_process(machine.proc) is None


def test_without_proc_there_is_none(tmp_path: Path) -> None:
    assert Counters.of_this_process(tmp_path / "absent") is None


def test_a_group_that_is_gone_reads_as_nothing(tmp_path: Path) -> None:
    gone = Counters("v1", {"memory": str(tmp_path / "gone"), "cpuacct": str(tmp_path / "gone")})
    assert (gone.memory_bytes(), gone.oom_kills(), gone.cpu_seconds(), gone.pids()) == (0, 0, 0, [])


def test_a_statistic_is_found_by_its_whole_word() -> None:
    text = "oom 3\noom_kill 2\noom_group_kill 0\n"
    assert [statistic(text, key) for key in ("oom", "oom_kill", "kill")] == [3, 2, 0]
