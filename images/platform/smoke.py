"""The processes' programs and libraries are there, and the command says what it is."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

for name in (
    "kpl_lab.platform.api",
    "kpl_lab.platform.runtime.controller",
    "kpl_lab.engines.kubernetes.runner",
    "kpl_lab.engines.kubernetes.kubeconfig",
    "kpl_lab.supervisor.control",
    "jupyterhub_traefik_proxy",
    "psycopg",
):
    importlib.import_module(name)

traefik = Path(sys.executable).parent / "traefik"
subprocess.run([traefik, "version"], check=True, stdout=subprocess.DEVNULL)
told = subprocess.run(["kpl-lab", "--version"], check=True, capture_output=True, text=True)
assert told.stdout.startswith("kpl-lab, version "), told.stdout
Path("/var/lib/kpl/home").mkdir()  # whoever runs it
assert not [name for name in os.environ if name.startswith("KPL_")]
