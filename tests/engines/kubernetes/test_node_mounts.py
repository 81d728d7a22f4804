"""What the agent of a node mounts, with the kernel's own mounts; as root alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.node.mounts import CannotMount, Mounts
from tests.engines.kubernetes.nodes import NAME, OTHER, UID, VERSION, Inside, Node, made, why_not

pytestmark = pytest.mark.skipif(why_not() != "", reason=why_not() or "?")
PLACE = Path(UID) / "volumes/kubernetes.io~empty-dir/datasets" / NAME


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with made(tmp_path) as found:
        yield found


@pytest.fixture
def mounts(node: Node) -> Mounts:
    node.pod()
    node.version()
    return Mounts(node.pods, node.cache)


@pytest.fixture
def inside(node: Node) -> Iterator[Inside]:
    found = Inside()
    yield found
    found.close()


def test_a_version_appears_in_a_pod_that_runs_and_cannot_be_written(
    node: Node, mounts: Mounts, inside: Inside
) -> None:
    mounts.show(UID, NAME, VERSION)
    there = f"'{node.volume()}/{NAME}'"
    assert inside.run(f"cat {there}/file") == "xxxxx\nended 0"
    for attempt in (f"touch {there}/new", f"rm {there}/file", f"chmod 777 {there}"):
        assert "Read-only file system" in inside.run(attempt)
    (shown,) = mounts.shown()
    assert (shown.uid, shown.name, shown.version) == (UID, NAME, VERSION)
    assert shown.is_read_only
    assert node.points() == [PLACE]

    mounts.hide(shown)
    assert "No such file" in inside.run(f"cat {there}/file")
    assert mounts.shown() == []
    assert list(node.volume().iterdir()) == []
    assert (node.cache / VERSION / "data/file").exists()


def test_a_kubelet_that_clears_the_pod_away_cannot_remove_the_data(
    node: Node, mounts: Mounts
) -> None:
    mounts.show(UID, NAME, VERSION)
    assert not mounts.is_going(UID)
    shutil.rmtree(node.config())
    assert mounts.is_going(UID)
    with pytest.raises(OSError, match=r"Read-only|busy"):
        shutil.rmtree(node.pods / UID)
    assert (node.cache / VERSION / "data/file").read_bytes() == b"xxxxx"


@pytest.mark.parametrize("leads_to", ["secret", "/etc", "loop"])
def test_a_link_in_the_way_is_not_followed(node: Node, mounts: Mounts, leads_to: str) -> None:
    elsewhere = node.root / "secret"
    elsewhere.mkdir()
    (node.volume() / "secret").symlink_to(elsewhere)
    (node.volume() / NAME).symlink_to({"loop": NAME}.get(leads_to, leads_to))
    with pytest.raises(CannotMount, match="something of its own called"):
        mounts.show(UID, NAME, VERSION)
    assert mounts.shown() == []
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_the_way_is_told(node: Node, mounts: Mounts) -> None:
    (node.volume() / NAME).write_text("mine")
    with pytest.raises(CannotMount, match="something of its own called"):
        mounts.show(UID, NAME, VERSION)
    assert (node.volume() / NAME).read_text() == "mine"


def test_a_volume_that_is_a_link_is_not_followed(node: Node, mounts: Mounts) -> None:
    """Nobody but the kubelet can put one there; it is not followed all the same."""
    node.volume().rmdir()
    node.volume().symlink_to(node.root)
    with pytest.raises(CannotMount):
        mounts.show(UID, NAME, VERSION)
    assert not (node.root / NAME).exists()


@pytest.mark.parametrize(
    "uid", ["0a1b2c3d-0000-4000-8000-00000000000b", "..", "../pods/" + UID, "", UID.upper()]
)
def test_a_pod_that_is_not_there_is_told(node: Node, mounts: Mounts, uid: str) -> None:
    with pytest.raises(CannotMount, match=r"no pod|not the UID"):
        mounts.show(uid, NAME, VERSION)
    assert node.points() == []


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "../../x"])
def test_a_name_that_is_a_path_is_refused(node: Node, mounts: Mounts, name: str) -> None:
    with pytest.raises(Exception, match="no plain name"):
        mounts.show(UID, name, VERSION)


def test_a_folder_that_the_pod_moves_is_found_where_it_went(
    node: Node, mounts: Mounts, tmp_path: Path
) -> None:
    """In its own view nothing is mounted there, so that it may rename the folder."""
    mounts.show(UID, NAME, VERSION)
    agent = Inside()
    agent.run(f"umount '{node.volume()}/{NAME}'")
    (node.volume() / "deep").mkdir()
    assert agent.run(f"mv '{node.volume()}/{NAME}' '{node.volume()}/deep/x'").endswith("ended 0")
    (shown,) = mounts.shown()
    assert shown.name == ""
    # A link where a step of the way was: what it leads to is not unmounted.
    (node.volume() / "deep").rename(node.volume() / "was")
    (node.volume() / "deep").symlink_to("was")
    with pytest.raises(OSError, match="Not a directory"):
        mounts.hide(shown)
    (shown,) = mounts.shown()
    mounts.hide(shown)
    assert node.points() == []
    agent.close()


def test_another_mount_in_its_place_stays(node: Node, mounts: Mounts) -> None:
    mounts.show(UID, NAME, VERSION)
    (first,) = mounts.shown()
    node.version(OTHER)
    mounts.show(UID, NAME, OTHER)
    with pytest.raises(OSError, match="another mount"):
        mounts.hide(first)
    assert [one.version for one in mounts.shown()] == [VERSION, OTHER]


def test_what_others_have_mounted_is_none_of_ours(node: Node, mounts: Mounts) -> None:
    other = node.pods / UID / "volumes/kubernetes.io~secret/token"
    other.mkdir()
    os.system(f"mount -t tmpfs none '{other}'")
    assert mounts.shown() == []


def test_what_a_killed_agent_has_left_of_its_work_is_cleared(node: Node, mounts: Mounts) -> None:
    left = node.cache / ".staging-x"
    left.mkdir()
    os.system(f"mount --bind '{node.cache / VERSION}' '{left}'")
    mounts.clear()
    assert not left.exists()
    assert (node.cache / VERSION / "data/file").exists()
