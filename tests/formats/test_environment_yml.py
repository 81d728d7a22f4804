"""``environment.yml``: every rule of the runtime contract, section 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl_lab.errors import Invalid
from kpl_lab.formats.environment_yml import parse_environment, read_environment

HEAD = "version: 1\nimage:\n  from_image: python:3.11\n"

FULL = """\
version: 1
image:
  from_image: registry.example/kpl/pytorch:2.x-py3
  runs:
    - pip3 install matplotlib Pillow
train:
  resource:
    limits:   {cpu: 4, gpu: 1, memory: 10240, shm: 1024}
    requests: {cpu: 4, gpu: 1, memory: 10240, shm: 1024}
  inputs:
    - {key: data,  name: 数据}
    - {key: model, name: 预训练模型, optional: true}
  outputs:
    - {key: save, name: 模型}
  cmd: python3 train.py
infer:
  cmd: python3 infer.py
deploy:
  cmd: python3 serve.py
  health: /healthz
  interface:
    - name: classify
      path: /predict
      method: post
      format: params
      inputs:
        - {name: text, type: String, required: true, example: 足球, description: 待分类文本}
"""


def refused(text: str, *, strict: bool = False) -> Invalid:
    with pytest.raises(Invalid) as caught:
        parse_environment(text, strict=strict)
    return caught.value


def test_everything_the_contract_shows_is_read() -> None:
    environment = parse_environment(FULL)
    assert environment.from_image == "registry.example/kpl/pytorch:2.x-py3"
    assert environment.runs == ("pip3 install matplotlib Pillow",)
    assert list(environment.functions) == ["train", "infer", "deploy"]
    assert environment.warnings == ()
    train = environment.function("train")
    assert (train.resources.cpu, train.resources.gpu) == (4, 1)
    assert (train.resources.memory, train.resources.shm) == (10240, 1024)
    assert [(p.key, p.name, p.kind, p.optional) for p in train.inputs] == [
        ("data", "数据", "dataset", False),
        ("model", "预训练模型", "model", True),
    ]
    deploy = environment.function("deploy")
    assert (deploy.port, deploy.health) == (8080, "/healthz")
    (interface,) = deploy.interface
    assert (interface["path"], interface["method"]) == ("/predict", "POST")
    assert interface["inputs"][0]["example"] == "足球"


def test_only_cmd_is_required_of_a_function() -> None:
    infer = parse_environment(FULL).function("infer")
    assert infer.resources.model_dump() == {"cpu": 1.0, "memory": 1024, "gpu": 0, "shm": 64}
    assert (infer.inputs, infer.outputs) == ([], [])


def test_gpu_and_shm_have_defaults_of_their_own() -> None:
    text = HEAD + "train: {cmd: a, resource: {limits: {cpu: 2, memory: 512}}}\n"
    resources = parse_environment(text).function("train").resources
    assert (resources.gpu, resources.shm) == (0, 64)


@pytest.mark.parametrize(
    ("function", "kind"),
    [("train", "model"), ("compile", "model"), ("infer", "files"), ("test", "files")],
)
def test_outputs_have_the_kind_that_their_function_usually_makes(function: str, kind: str) -> None:
    text = HEAD + f"{function}: {{cmd: a, outputs: [{{key: save}}]}}\n"
    (port,) = parse_environment(text).function(function).outputs
    assert (port.kind, port.name) == (kind, "save")


def test_a_kind_that_the_file_says_is_told_from_one_that_the_key_suggests() -> None:
    inputs = "[{key: model}, {key: data, kind: dataset}]"
    model, data = (
        parse_environment(HEAD + f"train: {{cmd: a, inputs: {inputs}}}\n").function("train").inputs
    )
    assert (model.kind, model.is_kind_declared) == ("model", False)
    assert (data.kind, data.is_kind_declared) == ("dataset", True)


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("image: {from_image: a}\n", 1, "", "'version' is missing"),
        ("version: 1\n", 1, "", "'image' is missing"),
        ("version: 1\nimage: {}\n", 2, "image", "'from_image' is missing"),
        (HEAD + "train: {inputs: []}\n", 4, "train", "'cmd' is missing"),
        ("version: 2\nimage: {from_image: a}\n", 1, "version", "must be 1, not 2"),
        ("version: yes\nimage: {from_image: a}\n", 1, "version", "must be a number"),
        (HEAD + "trian: {cmd: a}\n", 4, "trian", "did you mean 'train'"),
        (
            HEAD + "train:\n  cmd: a\n  resource:\n    limits:\n      memroy: 1\n",
            8,
            "train.resource.limits.memroy",
            "did you mean 'memory'",
        ),
        (
            HEAD + "train: {cmd: a, output: [{key: a}]}\n",
            4,
            "train.output",
            "did you mean 'outputs'",
        ),
        (HEAD + "deploy: {cmd: a, helath: /x}\n", 4, "deploy.helath", "did you mean 'health'"),
        (
            HEAD + "train: {cmd: a, resource: {limits: {memory: 10G}}}\n",
            4,
            "train.resource.limits.memory",
            "must be a whole number, not '10G'",
        ),
        (
            HEAD + "train: {cmd: a, resource: {limits: {cpu: .nan}}}\n",
            4,
            "train.resource.limits.cpu",
            "at least 0.01",
        ),
        (
            HEAD + "train: {cmd: a, resource: {limits: {cpu: .inf}}}\n",
            4,
            "train.resource.limits.cpu",
            "at most 1024",
        ),
        (
            HEAD + "train: {cmd: a, resource: {limits: {memory: 99999999999}}}\n",
            4,
            "train.resource.limits.memory",
            "at most",
        ),
        (HEAD + 'train: {cmd: "  "}\n', 4, "train.cmd", "is empty"),
        (HEAD + "train: {cmd: [a, b]}\n", 4, "train.cmd", "must be a text"),
        (HEAD + "train:\n", 4, "train", "must be a mapping"),
        (HEAD + "deploy: {cmd: a, port: 99999}\n", 4, "deploy.port", "at most 65535"),
        (HEAD + "deploy: {cmd: a, health: x}\n", 4, "deploy.health", "start with a slash"),
        (HEAD + "train: {cmd: a, inputs: [{key: a/b}]}\n", 4, "train.inputs.0.key", "folder name"),
        (HEAD + "train: {cmd: a, inputs: [{key: ..}]}\n", 4, "train.inputs.0.key", "folder name"),
        (
            HEAD + "train:\n  cmd: a\n  inputs:\n    - {key: a}\n    - {key: a}\n",
            8,
            "train.inputs.1",
            "stands twice",
        ),
        (HEAD + "train: {cmd: a, inputs: {key: a}}\n", 4, "train.inputs", "must be a list"),
        (
            HEAD + "train: {cmd: a, inputs: [{key: a, kind: modle}]}\n",
            4,
            "train.inputs.0.kind",
            "one of dataset, model",
        ),
        ("version: 1\nimage: {from_image: a, runs: x}\n", 2, "image.runs", "must be a list"),
        ("version: 1\nversion: 1\n", 2, "", "stands twice"),
        ("", 1, "", "the file is empty"),
        ("- a\n", 1, "", "must be a mapping"),
        ("version: 1\n\tcmd: a\n", 2, "", "not YAML"),
        ("a: [1\nb: 2\n", 2, "", "not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_key_and_what_is_allowed(
    text: str, line: int, key: str, says: str
) -> None:
    error = refused(text)
    assert says in error.message
    assert error.message.startswith(f"environment.yml, line {line}: ")
    assert error.detail == {"file": "environment.yml", "line": line, "key": key}


def test_a_key_that_is_like_no_other_is_kept_with_a_warning_and_strictly_refused() -> None:
    text = HEAD + "notes: mine\ntrain: {cmd: a}\n"
    (warning,) = parse_environment(text).warnings
    assert "line 4" in warning
    assert "'notes'" in warning
    assert "line 4" in refused(text, strict=True).message


def test_the_manuals_own_example_is_taken() -> None:
    text = HEAD + "infer:\n  outputs: [{key: save}]\n  output: /output\n  cmd: a\n"
    environment = parse_environment(text)
    assert [p.key for p in environment.function("infer").outputs] == ["save"]
    assert "did you mean 'outputs'" in environment.warnings[0]


def test_a_function_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(Invalid, match=r"no function 'compile'.*train, infer, deploy"):
        parse_environment(FULL).function("compile")


HOSTILE = {
    "runs a command": 'version: !!python/object/apply:os.system ["true"]\n',
    "refers to itself": "a: &a\n  b: *a\n",
    "grows without bound": "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{n}: &{n} [{','.join([f'*{p}'] * 10)}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
    ),
    "is too deep": "[" * 5000,
    "is deep in its mappings": "".join(f"{' ' * n}a:\n" for n in range(80)),
    "is two documents": "version: 1\n---\nversion: 1\n",
    "holds zero bytes": "version: 1\0",
    "is too long": "# " + "x" * (1 << 20) + "\nversion: 1\n",
    "has a list as key": "? [a]\n: 1\n",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_yaml_is_refused_in_words_and_at_once(what: str) -> None:
    assert refused(HOSTILE[what]).code == "invalid_file"


def test_a_folder_without_the_file_is_told_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"no environment\.yml"):
        read_environment(tmp_path)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(FULL)
    (tmp_path / "environment.yml").symlink_to(tmp_path / "secret")
    with pytest.raises(Invalid, match=r"no environment\.yml"):
        read_environment(tmp_path)


def test_a_file_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_bytes("version: 1 # 数据".encode("gbk"))
    with pytest.raises(Invalid, match="UTF-8"):
        read_environment(tmp_path)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_bytes(b"\xef\xbb\xbf" + FULL.encode())
    assert "train" in read_environment(tmp_path).functions


def test_a_key_in_the_place_of_the_required_one_is_named() -> None:
    error = refused(HEAD + "train:\n  comand: python3 train.py\n")
    assert "'cmd' is missing in train" in error.message
    assert "It has 'comand', which is not a key of it." in error.message
