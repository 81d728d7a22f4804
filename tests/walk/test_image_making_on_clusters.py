"""Images that users of a cluster make with ``kpl image build``: by pods without a privilege, into a registry.

``KPL_REGISTRY`` names it, with ``base:bookworm`` in it for images to stand on: builders see nothing of nodes.
"""

from __future__ import annotations

import pytest

from tests.installation import Installation
from tests.kubernetes.harness import BASE, BUILDER_IMAGE, REGISTRY
from tests.walk.conftest import Terminal

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(900)]
PRINTING = "print(open('/opt/note.txt').read(), open('/opt/made').read())"


@pytest.fixture(scope="module")
def installation(on_kubernetes: Installation) -> Installation:
    """An installation beside the cluster."""
    return on_kubernetes


class ClusterImages:
    """A Dockerfile, its use, and its end."""

    pytestmark = [
        pytest.mark.skipif(not REGISTRY, reason="KPL_REGISTRY names no registry for built images"),
        pytest.mark.skipif(
            not BUILDER_IMAGE, reason="KPL_BUILDER_IMAGE names no image of the builder"
        ),
    ]

    def test_a_dockerfile_becomes_an_image_that_a_task_runs_in(self, terminal: Terminal) -> None:
        lines = (
            f"FROM {BASE}",
            "ARG WORD",
            "COPY note.txt /opt/note.txt",
            "RUN --mount=type=secret,id=pw cp /run/secrets/pw /tmp/pw && wc -c </tmp/pw && rm /tmp/pw",
            "RUN echo made with $WORD >/opt/made",
        )
        files = {"Dockerfile": "\n".join(lines), "note.txt": "a note"}
        folder = terminal.write("mine", files)
        secret = terminal.folder / "pw"
        secret.write_text("s3cr3t-word")
        words = ("--build-arg", "WORD=care", "--secret", f"id=pw,src={secret}")
        made = terminal.done("image", "build", "-t", "mine", folder, *words, seconds=600)
        assert (made["name"], made["state"], made["source"]) == ("mine", "ready", "built")
        assert made["reference"].startswith(f"{REGISTRY}/")
        (newest, *_) = terminal.done("build", "list")["items"]
        log = terminal.done("build", "logs", newest["id"])["text"]
        assert "11" in log
        assert "s3cr3t-word" not in log

        manifest = "version: 1\nimage: {from_image: mine}\ntrain: {cmd: python3 main.py}\n"
        code = terminal.write("code", {"environment.yml": manifest, "main.py": PRINTING})
        done = terminal.done("task", "submit", "--code", code, "--wait", seconds=300)
        assert done["state"] == "succeeded"
        assert "a note made with care" in terminal.kpl_text("task", "logs", done["id"])

    def test_a_build_that_fails_shows_its_log_and_why(self, terminal: Terminal) -> None:
        folder = terminal.write("bad", {"Dockerfile": f"FROM {BASE}\nRUN echo here; exit 3\n"})
        done = terminal.installation.run(
            "kpl", "image", "build", "-t", "bad", str(folder), seconds=600
        )
        assert done.returncode == 1
        assert "here" in done.stdout + done.stderr
        assert "RUN echo here; exit 3" in done.stderr

    def test_what_was_made_is_deleted(self, terminal: Terminal) -> None:
        terminal.done("image", "delete", "mine", "--yes")
        assert "mine" not in {one["name"] for one in terminal.done("image", "list")["items"]}


class TestClusterImages(ClusterImages):
    """Of an installation beside the cluster."""
