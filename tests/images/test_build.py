"""Base and scientific image, built on a real daemon from a base made on the spot, and run."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from kpl_lab.supervisor.image_context import images_folder
from tests.engines.docker_harness import IMAGE, TestDaemon
from tools import image_sizes, images

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(2400)]

# What the machine's own pip trusts and asks serves the builds too.
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BASE, SCIENTIFIC = images.reference("base"), images.reference("scientific")
HEALTHY_SECONDS = 120


@pytest.fixture(scope="module")
def built(
    daemon: TestDaemon, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, ...]]:
    """Build both, try them, and return their sizes; Docker keeps them for the next run."""
    sizes = tmp_path_factory.mktemp("sizes") / "SIZES.md"
    words = ["base", "scientific", "--socket", str(daemon.socket), "--base-image", IMAGE]
    words += ["--network", "host", "--sizes", str(sizes)]
    words += ["--ca-bundle", str(BUNDLE)] if BUNDLE.exists() else []
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        value = os.environ.get(name, "")
        words += ["--build-arg", f"{name}={value}"] if value.startswith("http") else []
    assert images.main(words) == 0
    return image_sizes.read(sizes)


def run(daemon: TestDaemon, *words: str) -> str:
    """Run a container without a network; its output."""
    return daemon.docker("run", "--rm", "--network=none", *words)


def test_both_do_what_their_smoke_tests_ask_and_are_measured(
    built: dict[str, tuple[str, ...]],
) -> None:
    everything, own, *_ = built["scientific"]
    assert 0 < int(own) < int(everything)
    assert abs(int(built["base"][0]) + int(own) - int(everything)) <= 1  # rounded
    assert built["tensorflow"] == image_sizes.NEVER


def test_nobody_is_root_and_anybody_may_add_packages(
    built: dict[str, tuple[str, ...]], daemon: TestDaemon
) -> None:
    assert run(daemon, "--no-healthcheck", BASE, "id", "-u") == "1000\n"
    code = "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'x.py').touch()"
    run(daemon, "--no-healthcheck", "--user=23456", "--cap-drop=ALL", BASE, "python", "-c", code)


def test_what_the_build_was_given_is_neither_in_the_image_nor_in_its_history(
    built: dict[str, tuple[str, ...]], daemon: TestDaemon
) -> None:
    history = daemon.docker("history", "--no-trunc", SCIENTIFIC)
    assert "/build/" not in history
    assert "PIP_INDEX_URL" not in history
    look = "ls -A /usr/local/lib/kpl/certificates; ls -d /build /given /added 2>/dev/null; true"
    assert run(daemon, "--no-healthcheck", SCIENTIFIC, "sh", "-c", look) == ""


def test_a_base_that_has_everything_needs_neither_apt_nor_a_network(
    built: dict[str, tuple[str, ...]], daemon: TestDaemon
) -> None:
    script = "sh /usr/local/lib/kpl/system.sh && kpl-python --version && getent passwd 1000"
    hidden = "rm /usr/bin/apt-get && " + script
    said = run(daemon, "--user=0", "--no-healthcheck", BASE, "sh", "-c", hidden)
    assert said.startswith("Python 3.")
    assert said.endswith("kpl:x:1000:1000::/home/kpl:/bin/bash\n")


def test_a_base_without_apt_that_lacks_something_is_told_so(
    built: dict[str, tuple[str, ...]], daemon: TestDaemon
) -> None:
    hidden = "rm /usr/bin/apt-get /usr/bin/tini && sh /usr/local/lib/kpl/system.sh"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(daemon, "--user=0", "--no-healthcheck", BASE, "sh", "-c", hidden)
    assert "no apt-get to install these with: tini." in caught.value.stderr


OTHER_CLICK = """
import zipfile
files = {
    "click.py": "",
    "click-99.dist-info/METADATA": "Metadata-Version: 2.1\\nName: click\\nVersion: 99\\n",
    "click-99.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "click-99.dist-info/RECORD": "",
}
with zipfile.ZipFile("/tmp/click-99-py3-none-any.whl", "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
"""


def test_a_lock_that_would_change_packages_of_the_base_ends_the_build(
    built: dict[str, tuple[str, ...]], daemon: TestDaemon
) -> None:
    script = f"python -c '{OTHER_CLICK}' && kpl-install --no-index --no-deps /tmp/click-99-*.whl"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(daemon, "--user=0", "--no-healthcheck", BASE, "sh", "-c", script)
    assert "Packages of the base would change" in caught.value.stderr
    assert "\nclick==8." in caught.value.stderr


# As much of a hub as a server asks for before it listens.
HUB = """
import http.server
class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"version": "6"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", 8081), Hub).serve_forever()
"""
OF_A_HUB = {
    "JUPYTERHUB_API_TOKEN": "t",
    "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:9999/user/ann/",
    "JUPYTERHUB_SERVICE_PREFIX": "/user/ann/",
    "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
    "JUPYTERHUB_USER": "ann",
    "HUB": HUB,
}


@pytest.mark.parametrize(
    ("variables", "command"),
    [({}, []), (OF_A_HUB, ["sh", "-c", 'python -c "$HUB" & exec start-server'])],
    ids=["alone", "of a hub"],
)
def test_its_server_is_told_healthy(
    variables: dict[str, str],
    command: list[str],
    built: dict[str, tuple[str, ...]],
    daemon: TestDaemon,
) -> None:
    words = [f"--env={name}={value}" for name, value in variables.items()]
    name = daemon.docker(
        "run", "-d", "--network=none", "--health-interval=1s", *words, BASE, *command
    ).strip()
    try:
        deadline = time.monotonic() + HEALTHY_SECONDS
        while (state := health(daemon, name)) != "healthy":
            assert time.monotonic() < deadline, (state, daemon.docker("logs", name))
            time.sleep(0.2)
    finally:
        daemon.docker("rm", "-f", name)


def health(daemon: TestDaemon, name: str) -> str:
    return str(json.loads(daemon.docker("inspect", "-f", "{{json .State.Health.Status}}", name)))


def test_without_a_server_it_is_not_healthy(
    built: dict[str, tuple[str, ...]], daemon: TestDaemon
) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run(daemon, "--no-healthcheck", BASE, "python", "/usr/local/lib/kpl/health.py")


def test_the_folder_that_is_built_is_the_checkouts() -> None:
    assert images_folder() == Path(__file__).resolve().parents[2] / "images"
