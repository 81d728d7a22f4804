"""The administrator's file of resource pools: what it may say, and what is said of mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.errors import Invalid
from kpl_lab.formats.pools_yml import PoolsFile, parse_pools

TWO = """
version: 1
pools:
  - name: shared
    title: Shared machines
    per_user: {cpu: 16, memory: 65536, gpu: 1}
  - name: vision
    title: A100 80 GB
    description: For the vision team.
    groups: [vision]
    users: [dora]
    limits: {gpu: 8}
    idle_gpu_minutes: 60
    kubernetes:
      gpu_resource: nvidia.com/mig-1g.10gb
      node_selector: {gpu: a100}
      tolerations: [{key: gpu, operator: Exists}]
"""


def test_a_file_lists_pools_in_their_order() -> None:
    shared, vision = parse_pools(TWO)
    assert (shared.name, shared.per_user.gpu, shared.limits.gpu) == ("shared", 1, None)
    assert vision.kubernetes.node_selector == {"gpu": "a100"}
    assert vision.kubernetes.queue is None
    assert vision.idle_gpu_minutes == 60


@pytest.mark.parametrize(
    ("user", "groups", "may"),
    [
        ("alice", [], False),
        ("alice", ["vision"], True),
        ("dora", [], True),
        ("eve", ["nlp"], False),
    ],
)
def test_a_dedicated_pool_is_for_its_users_and_groups(
    user: str, groups: list[str], may: bool
) -> None:
    shared, vision = parse_pools(TWO)
    assert vision.is_for(user, frozenset(groups)) is may
    assert shared.is_for(user, frozenset(groups))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "pools.yml, line 1: the file is empty; it needs `version` and `pools`"),
        ("version: 1\npools: []", "must list at least one pool"),
        ("pools: [{name: a, title: A}]", "`version: 1` is missing"),
        ("version: 1\npools: [{title: A}]", "line 2: the key 'name' is missing in a pool"),
        ("version: 1\npools:\n- {name: A b, title: A}", "line 3: 'A b' is no name of a pool"),
        ("version: 1\npools: [{name: a, title: A, group: [x]}]", "did you mean 'groups'"),
        ("version: 1\npools: [{name: a, title: A, limits: {gpus: 1}}]", "did you mean 'gpu'"),
        ("version: 1\npools: [{name: a, title: A, limits: {gpu: -1}}]", "limits.gpu"),
        ("version: 1\npools: [{name: a, title: A, limits: 3}]", "must be a mapping"),
        ("version: 1\npools: [{name: a, title: A, users: bob}]", "users"),
        ("version: 1\npools: [{name: a, title: A}, {name: a, title: B}]", "'a' names two pools"),
        ("version: 1\npools: [", "this is not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_pools(text)
    assert said in refused.value.message


def write(path: Path, text: str, moment: int) -> None:
    path.write_text(text)
    os.utime(path, (moment, moment))


def test_a_change_is_seen_and_while_it_is_wrong_the_last_good_one_stays(tmp_path: Path) -> None:
    clock = ManualClock()
    file = PoolsFile(tmp_path, clock)
    path = tmp_path / "pools.yml"
    assert not len(file.pools)
    write(path, TWO, 1000)
    assert [one.name for one in file.pools] == ["shared", "vision"]
    write(path, "pools: what", 2000)
    assert [one.name for one in file.pools] == ["shared", "vision"]
    write(path, "version: 1\npools: [{name: only, title: Only}]", 3000)
    assert file.named("vision") is None
    assert file.named("only") is not None
    path.unlink()
    assert len(file.pools) == 1, "it may be written anew just now"
    clock.advance(29)
    assert len(file.pools) == 1
    clock.advance(2)
    assert not len(file.pools)


def test_a_file_that_was_never_right_is_told(tmp_path: Path) -> None:
    (tmp_path / "pools.yml").write_text("nothing: here")
    with pytest.raises(Invalid, match="not a key of"):
        PoolsFile(tmp_path).pools  # noqa: B018
