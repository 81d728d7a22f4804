"""Why a container does not start, or does not stay.

The texts are those of real clusters: of Kubernetes 1.36 with containerd where nothing else is said.
"""

from __future__ import annotations

import pytest

from kpl_lab.engines.kubernetes.telling import tell
from tests.engines.kubernetes.texts import Json, pod, waits

RUNC = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "

Start = tuple[str, str, str, str, str]
STARTS: list[Start] = [
    (
        "no such command",
        "StartError",
        RUNC + 'exec: "no-such-command": executable file not found in $PATH: unknown',
        "command_missing",
        "no command no-such-command",
    ),
    (
        "no such file",
        "StartError",
        RUNC + 'exec: "/no/such/file": stat /no/such/file: no such file or directory: unknown',
        "command_missing",
        "no command /no/such/file",
    ),
    (
        "no such command, in runc's older words",
        "RunContainerError",
        RUNC
        + 'error during container init: exec: "nope": executable file not found in $PATH: unknown',
        "command_missing",
        "no command nope",
    ),
    (
        "no such command, in crun's words",
        "RunContainerError",
        "container create failed: executable file `nope` not found in $PATH: No such file or directory",
        "command_missing",
        "no command nope",
    ),
    (
        "not executable",
        "StartError",
        RUNC + 'exec: "/etc/passwd": permission denied: unknown',
        "command_denied",
        "/etc/passwd may not be run",
    ),
    (
        "other processors",
        "StartError",
        RUNC + "error during container init: exec /bin/x: exec format error: unknown",
        "command_format",
        "other processors",
    ),
    (
        "no such folder",
        "StartError",
        RUNC + "error during container init: mkdir /proc/nope: no such file or directory: unknown",
        "folder_missing",
        "/proc/nope",
    ),
    (
        "a folder that is closed",
        "CreateContainerError",
        RUNC
        + 'error during container init: chdir to cwd ("/root/work") set in config.json failed: permission denied',
        "folder_missing",
        "/root/work",
    ),
    (
        "no driver",
        "StartError",
        RUNC
        + "error running prestart hook #0: nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown",
        "gpu_runtime",
        "GPU",
    ),
    (
        "a full disk",
        "CreateContainerError",
        "failed to create containerd container: mkdir /var/lib/x: no space left on device",
        "no_room",
        "disk is full",
    ),
    (
        "something new",
        "CreateContainerError",
        "context deadline exceeded",
        "start_failed",
        "context deadline",
    ),
    (
        "no secret",
        "CreateContainerConfigError",
        'secret "gone" not found',
        "config_missing",
        "the secret gone",
    ),
    (
        "no key",
        "CreateContainerConfigError",
        "couldn't find key nokey in Secret lab/some",
        "config_missing",
        "the key nokey in the secret lab/some",
    ),
    (
        "root",
        "CreateContainerConfigError",
        'container has runAsNonRoot and image will run as root (pod: "p_lab(1ce15295)", container: main)',
        "image_runs_as_root",
        "root",
    ),
    (
        "an account by name",
        "CreateContainerConfigError",
        'container has runAsNonRoot and image has non-numeric user (jovyan), cannot verify user is non-root (pod: "p_lab(1ce15295)", container: main)',
        "image_runs_as_root",
        "(jovyan)",
    ),
]


@pytest.mark.parametrize(
    ("reason", "message", "code", "said"), [c[1:] for c in STARTS], ids=[c[0] for c in STARTS]
)
def test_starting(reason: str, message: str, code: str, said: str) -> None:
    found = tell(waits(reason, message))
    assert found.code == code
    assert said in found.text
    assert found.detail["message"] == message


def test_a_command_that_could_not_begin_is_told_from_a_pod_that_failed_by_it() -> None:
    message = RUNC + 'exec: "nope": executable file not found in $PATH: unknown'
    state = {"terminated": {"reason": "StartError", "message": message, "exitCode": 128}}
    found = tell(pod(phase="Failed", containerStatuses=[{"name": "main", "state": state}]))
    assert (found.code, found.is_hopeless) == ("command_missing", True)


@pytest.mark.parametrize(
    ("last", "code", "said"),
    [
        ({"reason": "OOMKilled", "exitCode": 137}, "out_of_memory", "more memory"),
        ({"reason": "Error", "exitCode": 1}, "crashes", "exit code 1, so far 4 ×)"),
        ({"reason": "Error", "exitCode": 139}, "crashes", "signal 11"),
    ],
)
def test_what_ends_again_and_again(last: Json, code: str, said: str) -> None:
    message = "back-off 40s restarting failed container=main pod=p_lab(1ce15295)"
    found = tell(waits("CrashLoopBackOff", message, lastState={"terminated": last}, restartCount=3))
    assert found.code == code
    assert said in found.text

    between = pod(
        phase="Running",
        containerStatuses=[{"name": "main", "state": {"terminated": last}, "restartCount": 3}],
    )
    assert tell(between).code == ""  # it is not started again
    between["spec"]["restartPolicy"] = "Always"
    assert tell(between).code == code


def test_a_sidecar_that_ends_again_and_again_is_named() -> None:
    state = {"terminated": {"reason": "Error", "exitCode": 2}}
    found = pod(phase="Running", initContainerStatuses=[{"name": "agent", "state": state}])
    assert tell(found).code == ""  # it was only to run once
    found["spec"]["initContainers"] = [{"name": "agent", "restartPolicy": "Always"}]
    assert "Its container agent ended by itself (exit code 2, so far 1 ×)" in tell(found).text
