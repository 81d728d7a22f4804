"""Resource pools on the command line: for users by ``kpl pool``, for administrators by ``kpl-lab pools``."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from kpl_lab.cli import doctor
from kpl_lab.cli.kpl_lab import cli
from kpl_lab.errors import Invalid
from kpl_lab.schemas.pools import Amount, PoolView
from kpl_lab.settings import load
from tests.cli.conftest import Kpl
from tests.doubles.platform import Platform, capacity
from tests.installation import free_port

POOLS = """
version: 1
pools:
  - {name: shared, title: Shared machines}
  - {name: a100, title: A100, groups: [vision], users: [dora], limits: {gpu: 4},
     kubernetes: {priority_class: kpl-a100}}
"""


def test_pools_are_listed_with_what_is_free_and_what_is_left_of_the_quota(
    kpl_: Kpl, platform: Platform
) -> None:
    pool = PoolView(
        name="a100", title="A100", description="", dedicated=True,
        cpu=Amount(limit=8, used=2), memory=Amount(limit=4096, used=1024),
        gpu=Amount(limit=0, used=0), quota={"gpu": Amount(limit=2, used=3)},
    )  # fmt: skip
    platform.capacity = capacity(pool)
    head, row = kpl_("pool", "list").out.splitlines()
    assert head.split() == [
        "NAME",
        "TITLE",
        "DEDICATED",
        "FREE",
        "CPU",
        "FREE",
        "GIB",
        "FREE",
        "GPU",
        "LEFT",
        "OF",
        "YOUR",
        "QUOTA",
    ]
    assert row.split() == [
        "a100",
        "A100",
        "yes",
        "6",
        "of",
        "8",
        "3",
        "of",
        "4",
        "-",
        "0",
        "of",
        "2",
        "GPU",
    ]
    assert kpl_("pool", "list", "--json").json["items"][0]["quota"] == {
        "gpu": {"limit": 2, "used": 3}
    }


def test_an_installation_without_pools_says_so(kpl_: Kpl, platform: Platform) -> None:
    platform.capacity = capacity()
    assert "no resource pools" in kpl_("pool", "list").err


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KPL_HOME", str(tmp_path))
    monkeypatch.setenv("KPL_PORT", str(free_port()))
    (tmp_path / "pools.yml").write_text(POOLS)
    return tmp_path


def test_the_file_is_checked_and_told(installation: Path) -> None:
    told = CliRunner().invoke(cli, ["pools"])
    assert [line.split()[:2] for line in told.output.splitlines()] == [
        ["shared", "everybody"],
        ["a100", "dora,"],
    ]
    (installation / "pools.yml").write_text("version: 1\npools: [{name: x}]")
    refused = CliRunner().invoke(cli, ["pools"])
    assert isinstance(refused.exception, Invalid)
    assert "pools.yml, line 2: the key 'title' is missing" in str(refused.exception)


def test_its_limits_are_printed_for_a_cluster(installation: Path) -> None:
    told = CliRunner().invoke(cli, ["pools", "--as", "resource-quota"])
    (quota,) = yaml.safe_load_all(told.output)
    kubernetes_validate.validate(quota, kubernetes_validate.latest_version(), strict=True)
    assert quota["spec"]["hard"] == {"requests.nvidia.com/gpu": "4"}
    refused = CliRunner().invoke(cli, ["pools", "--as", "kueue"])
    assert "`kubernetes.queue`" in str(refused.exception)


def test_the_doctor_reads_it(installation: Path) -> None:
    def said() -> tuple[str, str]:
        (one,) = [found for found in doctor.examine(load()) if found.name == "pools"]
        return one.level, one.message

    assert said()[0] == "ok"
    assert said()[1].startswith("shared, a100, of ")
    (installation / "pools.yml").write_text("version: 2")
    assert said()[0] == "error"
