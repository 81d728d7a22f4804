"""Why a container does not start or did not stay, in words; pure functions.

Reasons are those of ``kubernetes/pkg/kubelet/kuberuntime`` and of containerd's and CRI-O's states, texts those
of runc and crun.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes.names import COMMAND_CONTAINER
from kpl_lab.engines.kubernetes.saying import Saying, whole

# Reasons of a container that waits, and of one that ended before its command began.
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "PreCreateHookError"})
START_REASONS = frozenset(
    {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}
)
_COMMAND = r'exec: \\?"(?P<command>[^"\\]*)\\?": '
# Code, what the runtime says, and our sentence: it names the parts that were found.
STARTS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "command_missing",
        re.compile(
            _COMMAND + r"(?:executable file not found|stat \S+: no such file|no such file)|"
            r"executable file `(?P<crun>[^`]*)` not found"
        ),
        "The image has no command {command}; correct the command, or use an image that has it.",
    ),
    (
        "command_denied",
        re.compile(
            _COMMAND + r"(?:permission denied|is a directory)|open executable: Permission denied()"
        ),
        "The command {command} may not be run in the image; it has to be a file that everybody may execute.",
    ),
    (
        "command_format",
        re.compile(r"exec format error"),
        "The command is made for other processors, or is a script without #! at its beginning.",
    ),
    (
        "no_room",
        re.compile(r"no space left on device"),
        "The node's disk is full; an administrator of the cluster has to make room.",
    ),
    (
        "folder_missing",
        re.compile(r'chdir to cwd \(\\?"(?P<folder>[^"\\]*)|mkdir (?P<made>/\S+?):'),
        "The folder {folder} that it is to start in cannot be entered in the image.",
    ),
    (
        "gpu_runtime",
        re.compile(
            r"nvidia-container-cli|nvidia-container-runtime|libnvidia|CDI device|cdi\.k8s\.io"
        ),
        "The node cannot give it its GPU: driver or container toolkit do not work there. Tell an "
        "administrator of the cluster.",
    ),
)
_ABSENT = re.compile(
    r'(?P<kind>secret|configmap) "(?P<name>[^"]+)" not found|'
    r"couldn't find key (?P<key>\S+) in (?P<of>Secret|ConfigMap) (?P<place>\S+)",
    re.I,
)
_USER = re.compile(r"image has non-numeric user \((?P<user>[^)]*)\)")


def not_configured(message: str, container: str) -> Saying:
    """Return why a container cannot be put together (``CreateContainerConfigError``)."""
    detail = {"container": container, "message": message}
    absent = _ABSENT.search(message)
    if absent is not None:
        what = f"the {absent['kind'].lower()} {absent['name']}" if absent["kind"] else ""
        what = what or f"the key {absent['key']} in the {absent['of'].lower()} {absent['place']}"
        return Saying(
            code="config_missing",
            text=f"It needs {what}, which is not there; start it again.",
            is_hopeless=True,
            detail={**detail, "said": f"{what} is not there."},
        )
    if "non-root" in message or "NonRoot" in message or "run as root" in message:
        user = _USER.search(message)
        name = user["user"] if user else "root"
        return Saying(
            code="image_runs_as_root",
            text=f"The image's account ({name}) is root or has no number, and the cluster lets nothing run as root; "
            "give the image a numeric USER that is not 0.",
            is_hopeless=True,
            detail=detail,
        )
    return Saying(
        code="config_invalid",
        text=f"The node cannot put the container together: {whole(message)} Start it again; if that stays, ask "
        "an administrator of the cluster.",
        is_hopeless=True,
        detail={**detail, "said": message},
    )


def not_started(message: str, container: str) -> Saying:
    """Return why a container runtime could not start the command."""
    detail = {"container": container, "message": message}
    for code, pattern, text in STARTS:
        found = pattern.search(message)
        if found is not None:
            # A full disk and a broken driver are the node's affair: elsewhere it would run.
            is_hopeless = code not in ("no_room", "gpu_runtime")
            facts = _facts(code, found)
            return Saying(
                code=code,
                text=text.format_map(facts),
                is_hopeless=is_hopeless,
                detail={**detail, **facts},
            )
    return Saying(
        code="start_failed",
        text=f"The node cannot start the container: {whole(message)} It is tried again; if that stays, ask an "
        "administrator of the cluster.",
        detail=detail,
    )


def _facts(code: str, found: re.Match[str]) -> dict[str, str]:
    """Return what our sentence of a code names, and that of the fault dictionary."""
    parts = [part for part in found.groups() if part]
    if code in ("command_missing", "command_denied"):
        return {"command": parts[0] if parts else "command"}
    if code == "command_format":
        return {"program": "The command"}
    return {"folder": parts[0]} if code == "folder_missing" else {}


def ended_badly(state: Mapping[str, Any], container: str, times: int) -> Saying:
    """Return why a container that is to be started again ended.

    Parameters
    ----------
    state
        Its ``state.terminated``, or ``lastState.terminated`` in ``CrashLoopBackOff``.
    times
        How often it has ended by now.
    """
    reason, code = str(state.get("reason") or ""), int(state.get("exitCode") or 0)
    if reason in START_REASONS:
        return not_started(str(state.get("message") or ""), container)
    detail = {"container": container, "reason": reason, "exit_code": code, "times": times}
    who = "It" if container == COMMAND_CONTAINER else f"Its container {container}"
    if reason == "OOMKilled":
        return Saying(
            code="out_of_memory",
            text=f"{who} used more memory than its limit and was ended; it is started again. Give it more memory.",
            detail=detail,
        )
    signal = f"signal {code - 128}" if 128 < code < 160 else f"exit code {code}"
    return Saying(
        code="crashes",
        text=f"{who} ended by itself ({signal}, so far {times} ×) and is started again after a pause; its log "
        "says why.",
        detail=detail,
    )
