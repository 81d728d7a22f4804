"""What is said of an image without building it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import image_lint, image_sizes, images

PLATFORM_EXTRAS = ("hub", "platform", "kubernetes", "s3")
GOOD = """# A comment.
ARG BASE_IMAGE=kpl-lab/base:0.1.0
FROM ${BASE_IMAGE} AS packages
USER 0
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
COPY certificates/ /build/certificates/
RUN kpl-install \\
    -r /build/requirements.txt

FROM ${BASE_IMAGE}
COPY --from=packages /added/ /opt/kpl/
LABEL org.opencontainers.image.title="A" org.opencontainers.image.description="B" \\
      kpl.image.framework="python" kpl.image.accelerator="cpu"
"""


@pytest.mark.parametrize("name", image_lint.names())
def test_nothing_is_wrong_with_ours(name: str) -> None:
    assert list(image_lint.complaints(name)) == []


def test_ours_are_these_and_the_base_comes_first() -> None:
    assert image_lint.names() == [
        "base", "builder", "platform", "pytorch-cpu", "pytorch-cuda", "scientific", "template", "tensorflow",
    ]  # fmt: skip


def test_the_platforms_has_what_its_extras_ask_for_and_the_base_has_not() -> None:
    root = Path(__file__).resolve().parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    wanted = {Requirement(one).name for name in PLATFORM_EXTRAS for one in extras[name]}
    lines = (root / "images" / "platform" / "requirements.in").read_text().splitlines()
    asked = {Requirement(line).name for line in lines if not line.startswith("#")}
    assert asked == wanted


def test_a_dockerfile_as_it_should_be() -> None:
    assert list(image_lint.check_dockerfile("mine", GOOD)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.1.0", "0.0.9", "2: the base of this version is kpl-lab/base:0.1.0"),
        ("ARG BASE_IMAGE=kpl-lab/base:0.1.0\n", "", "2: begins with the argument BASE_IMAGE"),
        ("ARG PIP_TRUSTED_HOST\n", "", "1: the argument PIP_TRUSTED_HOST is missing"),
        ("RUN kpl-install", "RUN --mount=type=cache kpl-install", "9: only BuildKit knows this"),
        ("COPY certificates/", "ADD certificates/", "8: ADD is not one of"),
        ("USER 0", "RUN pip install -i https://index x", "4: names an address"),
        ("COPY --from=packages", "COPY certificates/ /x/\nCOPY --from=packages", "13: the last"),
        ("FROM ${BASE_IMAGE}\n", "FROM ${BASE_IMAGE}\nUSER 0\n", "12: the image's account"),
        ("FROM ${BASE_IMAGE}\n", "FROM ${BASE_IMAGE}\nUSER kpl\n", "12: the image's account"),
        ("FROM ${BASE_IMAGE}\n", "", "1: has one stage"),
        ('kpl.image.framework="python"', "", "12: the label kpl.image.framework is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(old: str, new: str, said: str) -> None:
    found = list(image_lint.check_dockerfile("mine", GOOD.replace(old, new, 1)))
    assert any(line.startswith(said) for line in found), found


def test_a_base_must_give_up_root() -> None:
    text = GOOD.replace("kpl-lab/base:0.1.0", "debian")
    assert [line for line in image_lint.check_dockerfile("base", text) if "account" in line]


def write_lock(folder: Path, asked: str, lock: str) -> list[str]:
    (folder / "requirements.in").write_text(asked)
    (folder / "requirements.txt").write_text(lock)
    return list(image_lint.check_lock(folder))


def test_a_lock_pins_everything_that_is_asked_for(tmp_path: Path) -> None:
    lock = 'Tabulate_X==1.0  # via us\n    # via -r x.in\nother==2 ; python_version < "3.12"\n'
    assert write_lock(tmp_path, "# why\ntabulate-x>=1\n", lock) == []
    assert write_lock(tmp_path, "more\n", lock) == [
        ": more of requirements.in is not in it; run `make lock`"
    ]
    assert write_lock(tmp_path, "", "a==1\nb>=2\n") == [":2: 'b>=2' is not pinned"]


def test_a_lock_keeps_the_packages_of_the_base(tmp_path: Path) -> None:
    (said,) = write_lock(tmp_path, "", "jupyterlab==4.0.0\n")
    assert said.startswith(": jupyterlab is 4.0.0, but 4.")


def test_continued_lines_are_one_instruction() -> None:
    found = image_lint.instructions("RUN a \\\n  # not this\n  b\nUSER 1\n")
    assert [(one.line, one.word, one.rest) for one in found] == [
        (1, "RUN", "a b"),
        (4, "USER", "1"),
    ]


def image(id: str, size: int) -> dict[str, object]:
    labels = {"kpl.image.base": "debian:12"}
    return {"Id": id, "Size": size, "Os": "linux", "Architecture": "amd64",
            "Config": {"Labels": labels}}  # fmt: skip


def test_sizes_are_kept_until_an_image_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "SIZES.md"
    below, base, other = (
        image("a", 200_000_000),
        image("b", 500_000_000),
        image("c", 812_600_000),
    )
    image_sizes.write(path, {"base": image_sizes.Row.measured(base, below, 61.4)})
    image_sizes.write(path, {"scientific": image_sizes.Row.measured(other, base, 9.6)})
    found = image_sizes.read(path)
    assert found["base"][:5] == ("500", "300", "61", "linux/amd64", "debian:12")
    assert found["scientific"][:3] == ("813", "313", "10")
    assert found["tensorflow"] == image_sizes.NEVER
    assert list(found) == image_lint.names()


def test_the_time_of_a_build_is_not_that_of_finding_it_done(tmp_path: Path) -> None:
    path = tmp_path / "SIZES.md"
    below, base = image("a", 200_000_000), image("b", 500_000_000)
    image_sizes.write(path, {"base": image_sizes.Row.measured(base, below, 61.4)})
    image_sizes.write(path, {"base": image_sizes.Row.measured(base, below, None)})
    assert image_sizes.read(path)["base"][2] == "61"


def test_an_image_that_is_not_there_is_refused_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert images.main(["pytroch"]) == 2
    assert (
        "There is no images/pytroch; there are: base, builder, platform, pytorch-cpu"
        in capsys.readouterr().out
    )


def test_without_a_daemon_the_images_are_looked_over_and_the_failure_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert images.main(["--socket", str(tmp_path / "none.sock")]) == 1
    said = capsys.readouterr().out
    assert said.startswith("looked over: base, ")
    assert "The Docker daemon does not answer" in said
