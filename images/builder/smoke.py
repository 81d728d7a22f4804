"""The programs are there, and the account may open a namespace with a range of accounts."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

for program in ("buildah", "skopeo"):
    told = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    assert told.stdout.startswith(f"{program} version "), told.stdout
account = pwd.getpwuid(1000).pw_name
for file, program in (("subuid", "newuidmap"), ("subgid", "newgidmap")):
    assert f"{account}:100000:65536" in Path("/etc", file).read_text()
    place = Path("/usr/bin", program)
    assert os.getxattr(place, "security.capability"), place
    assert not place.stat().st_mode & 0o4000, f"{place} is a program of root"
