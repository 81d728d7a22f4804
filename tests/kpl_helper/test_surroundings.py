"""Paths and parameters on the platform, in a notebook and anywhere else; what an import needs."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kpl_helper
from kpl_helper.errors import (
    InputNotFoundError,
    MissingParameterError,
    NotOnPlatformError,
    ParameterError,
    ParameterFileNotFoundError,
)

ROOT = Path(__file__).resolve().parents[2]
Put = Callable[[dict[str, str]], None]


def task(tmp_path: Path, **more: str) -> dict[str, str]:
    (tmp_path / "in" / "data").mkdir(parents=True)
    return {
        "KPL_INNER": "",
        "KPL_ENV": "pipeline",
        "KPL_ENV_INPUT_ROOT_PATH": str(tmp_path / "in"),
        "KPL_ENV_OUTPUT_ROOT_PATH": str(tmp_path / "out"),
        **more,
    }


def test_a_task_gets_the_folders_of_its_inputs_and_outputs(
    tmp_path: Path, environment: Put
) -> None:
    environment(task(tmp_path))
    assert kpl_helper.get_input_path("data", default="x") == str(tmp_path / "in" / "data")
    assert kpl_helper.io.get_output_path(key="save") == str(tmp_path / "out" / "save")
    assert (tmp_path / "out" / "save").is_dir()


def test_a_required_input_that_is_missing_raises_and_an_optional_one_does_not(
    tmp_path: Path, environment: Put
) -> None:
    environment(task(tmp_path, KPL_ENV_OPTIONAL_INPUTS='["model"]'))
    assert kpl_helper.get_input_path("model", default="none") == "none"
    with pytest.raises(InputNotFoundError, match=r"'labels' is not there.*are: data"):
        kpl_helper.get_input_path("labels", default="none")


def test_an_optional_input_that_was_given_is_used(tmp_path: Path, environment: Put) -> None:
    environment(task(tmp_path, KPL_ENV_OPTIONAL_INPUTS='["data"]'))
    assert kpl_helper.get_input_path("data") == str(tmp_path / "in" / "data")


@pytest.mark.parametrize("variables", [{}, {"KPL_INNER": "1", "KPL_ENV": "notebook"}])
def test_elsewhere_paths_are_the_defaults_and_parameters_the_local_file(
    tmp_path: Path,
    environment: Put,
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment({**variables, "KPL_ENV_PARAMETER": '{"lr": 1}'})
    monkeypatch.chdir(tmp_path)
    Path("parameter.yml").write_text("lr: 0.1 # rate\nnet: {depth: 3, 名: 猫}\n", encoding="utf-8")
    assert kpl_helper.get_input_path("data", "./here") == "./here"
    assert kpl_helper.get_output_path("save", default="./there") == "./there"
    assert not Path("there").exists()
    parameter = kpl_helper.get_parameter()
    assert (parameter.lr, parameter.net.depth, parameter["net"]["名"]) == (0.1, 3, "猫")
    assert kpl_helper.get_parameter("other.yml") is parameter


def test_a_task_reads_its_parameters_from_the_environment(environment: Put) -> None:
    environment({"KPL_INNER": "1", "KPL_ENV_PARAMETER": '{"a": {"b": [{"c": 1}]}, "n": null}'})
    parameter = kpl_helper.get_parameter(default="ignored.yml")
    assert parameter.a.b[0].c == 1
    assert parameter.n is None


def test_parameters_behave_as_mappings_and_objects(environment: Put) -> None:
    environment({"KPL_INNER": "1", "KPL_ENV_PARAMETER": '{"a": {"b": 1}}'})
    parameter: Any = kpl_helper.get_parameter()
    assert not hasattr(parameter, "missing")
    assert getattr(parameter, "missing", 5) == 5
    with pytest.raises(MissingParameterError, match="no parameter 'missing' here; known: a"):
        _ = parameter["missing"]
    with pytest.raises(KeyError):
        _ = parameter.a.c
    parameter.new = {"x": 1}
    assert parameter.new.x == 1
    del parameter.new
    assert dict(parameter) == {"a": {"b": 1}}
    for twin in (pickle.loads(pickle.dumps(parameter)), copy.deepcopy(parameter)):
        assert twin == parameter
        assert twin.a.b == 1
    assert json.dumps(parameter) == '{"a": {"b": 1}}'


@pytest.mark.parametrize(
    ("text", "message"), [("- 1\n", "holds a list"), ("a: [1\n", "is not valid YAML")]
)
def test_a_broken_parameter_file_is_explained(
    tmp_path: Path, environment: Put, text: str, message: str
) -> None:
    path = tmp_path / "parameter.yml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message):
        kpl_helper.get_parameter(str(path))


def test_a_missing_parameter_file_is_explained(environment: Put) -> None:
    with pytest.raises(ParameterFileNotFoundError, match=r"nowhere\.yml does not exist"):
        kpl_helper.get_parameter("nowhere.yml")
    with pytest.raises(ParameterError, match="outside the platform"):
        kpl_helper.get_parameter(None)


def test_an_empty_parameter_file_means_no_parameters(tmp_path: Path, environment: Put) -> None:
    path = tmp_path / "parameter.yml"
    path.write_text("# nothing yet\n")
    assert kpl_helper.get_parameter(path) == {}


def test_a_task_id_that_is_no_number_is_explained(environment: Put) -> None:
    environment({"KPL_INNER": "1", "KPL_ENV_TASK_ID": "seven"})
    with pytest.raises(NotOnPlatformError, match="'seven'"):
        kpl_helper.get_input_path("data")


OUTSIDE = """
import threading
import kpl_helper as k
k.ready()
figure = k.metric.MetricFigure("t", "a")
figure.push_metric(1, object())
k.send_progress(5)
k.result.send_scalar_result(a=1)
k.result.send_curve_result("c", "x", [1], "y", [1])
assert k.save_model("nowhere", "n", "d") is None
assert k.save_dataset("nowhere", "n", "d", raise_errors=True) is None
k.kill()
assert k.flush()
k.done()
assert threading.active_count() == 1
"""


def run(source: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", source],
        env={"PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_outside_the_platform_every_call_is_silent_and_harmless() -> None:
    ended = run(OUTSIDE)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_an_import_needs_the_standard_library_alone_and_little_of_it() -> None:
    source = """
import sys
before = set(sys.modules)
import kpl_helper
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names) - {"kpl_helper"}))
print(sorted(new & {"http", "tarfile", "typing", "pathlib", "email", "ssl", "argparse"}))
"""
    assert run(source, "-S").stdout.splitlines() == ["[]", "[]"]


def test_neither_yaml_nor_protobuf_is_needed_but_for_a_local_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "parameter.yml").write_text("a: 1\n")
    (tmp_path / "parameter.json").write_text('{"a": 1}')
    (tmp_path / "google").mkdir()
    (tmp_path / "google" / "__init__.py").write_text("raise RuntimeError('far too old')")
    source = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from kpl_helper import get_parameter
try:
    get_parameter({str(tmp_path / "parameter.yml")!r})
except Exception as error:
    print(type(error).__name__, error)
print(get_parameter({str(tmp_path / "parameter.json")!r}))
"""
    lines = run(source, "-S").stdout.splitlines()
    assert lines[0].startswith("ParameterError PyYAML is needed to read")
    assert lines[1] == "{'a': 1}"


def test_settings_that_are_no_numbers_fall_back(
    environment: Put, caplog: pytest.LogCaptureFixture
) -> None:
    from kpl_helper._numbers import number_from_env

    environment({"KPL_HELPER_FLUSH_SECONDS": "long"})
    settings: list[Any] = [number_from_env("KPL_HELPER_FLUSH_SECONDS", 10.0) for _ in range(2)]
    assert settings == [10.0, 10.0]
    assert len(caplog.records) == 1
