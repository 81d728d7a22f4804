"""What the pod of a build makes of what its programs say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.builder import steps


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["STEP 1", "Error: building at STEP: exit status 7", ""], "Error: building at STEP: exit status 7"),
        (["x", 'time="2026" level=fatal msg="Get \\"https://r/v2/\\": denied"'], 'Get "https://r/v2/": denied'),
        (["Error during unshare(CLONE_NEWUSER): Operation not permitted", "x"], steps._CLOSED),
        (["only this"], "only this"),
        ([], "it ended without a word"),
    ],
)  # fmt: skip
def test_the_reason_is_the_last_line_that_names_one(said: list[str], why: str) -> None:
    assert steps._why(said) == why


@pytest.mark.parametrize(
    ("line", "kind", "code", "told"),
    [
        ("Error: exit status 7", "step", 7, "step"),
        ("Error: exit status 7", "failed", 1, "failed"),
        ("Error: no such file", "step", 1, "step"),
        ("Error: write: no space left on device", "step", 1, "disk"),
    ],
)
def test_a_program_that_fails_tells_why_and_its_output_is_the_log(
    capfdbinary: pytest.CaptureFixture[bytes], line: str, kind: str, code: int, told: str
) -> None:
    program = f"print('grüße'); print({line!r}); raise SystemExit(125)"
    with pytest.raises(steps.Failed) as failed:
        steps._run([sys.executable, "-X", "utf8", "-c", program], kind)
    assert (failed.value.kind, failed.value.code, failed.value.error) == (told, code, line)
    assert capfdbinary.readouterr().out == f"grüße\n{line}\n".encode()


def test_the_size_of_an_image_is_that_of_its_layers_and_of_no_others(tmp_path: Path) -> None:
    for name, content in {
        "images": [{"names": ["other"], "layer": "c"}, {"names": [steps._LOCAL], "layer": "b"}],
        "layers": [
            {"id": "a", "diff-size": 100},
            {"id": "b", "parent": "a", "diff-size": 20},
            {"id": "c", "parent": "a", "diff-size": 7000},
        ],
    }.items():
        folder = tmp_path / f"overlay-{name}"
        folder.mkdir()
        (folder / f"{name}.json").write_text(json.dumps(content))
    assert steps._size(tmp_path, "overlay") == 120
