"""An installation on Docker whose base image is made on the spot."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engines.docker_harness import IMAGE, TestDaemon, filter_rules
from tests.installation import Installation, running_installation

# What the machine's own pip trusts serves the builds too.
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@contextmanager
def docker_installation(prefix: str, daemon: TestDaemon) -> Iterator[Installation]:
    """Start an installation on a daemon; end it, and see that it leaves nothing there."""
    options = {"socket": str(daemon.socket), "build_network": "host"}
    if BUNDLE.exists():
        options["ca_bundle"] = str(BUNDLE)
    lines = [f"c.DockerOptions.{name} = {value!r}" for name, value in options.items()]
    index = os.environ.get("PIP_INDEX_URL", "")
    if index.startswith("http"):
        lines.append(f"c.DockerOptions.build_arguments = {{'PIP_INDEX_URL': {index!r}}}")
    with running_installation(
        prefix,
        variables={"KPL_ENGINE": "docker", "KPL_BASE_IMAGE": IMAGE},
        files={"docker_engine.py": "\n".join(lines) + "\n"},
    ) as found:
        yield found
        instance = json.loads((found.home / "settings.json").read_text())["instance"]
    left = daemon.docker("ps", "-a", "--format", "{{.Names}}").split()
    left += daemon.docker("network", "ls", "--format", "{{.Name}}").split()
    assert [name for name in left if instance in name] == []
    assert filter_rules(instance) == []
