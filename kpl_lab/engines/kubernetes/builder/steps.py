"""What the pod of a build does: ``python3 -I steps.py bases|build|send``.

``bases`` pulls what the image stands on, before anything of a user runs; ``build`` runs the user's steps,
and has no login of any registry; ``send`` waits beside it and sends the finished archive, to where its plan
says and nowhere else. They meet in one folder, ``/exchange``.

The runner sends this file with each recipe: the image of the builder has Python, buildah and skopeo, and
nothing of ours. The standard library alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

GIVEN = Path("/kpl/inputs")
STORAGE = Path("/storage")
EXCHANGE = Path("/exchange")
LOGINS = Path("/logins")
SECRETS = Path("/kpl/secrets")
LAST_WORDS = Path("/dev/termination-log")
REGISTRY_LOGIN = LOGINS / "registry" / ".dockerconfigjson"
PUSH_LOGIN = LOGINS / "push" / "push.json"
_TMP = Path("/tmp")  # noqa: S108 (a volume of the pod)
# It unpacks archives, and not where TMPDIR says.
_SKOPEO = ("skopeo", "--tmpdir", str(_TMP), "copy")
_LOCAL = "localhost/kpl/made:latest"
_ARCHIVE = EXCHANGE / "image.tar"
_BASES_LOG, _BASES_FAILED = EXCHANGE / "bases.log", EXCHANGE / "bases.failed"
_REQUEST, _ANSWER = EXCHANGE / "request", EXCHANGE / "answer.json"
_STATUS = re.compile(r"exit status (\d+)")
_LOGGED = re.compile(r"level=fatal msg=(\"(?:[^\"\\]|\\.)*\")")
_NO_SPACE = re.compile(r"no space left on device", re.I)
_NO_NAMESPACE = "Error during unshare(CLONE_NEWUSER)"
_CLOSED = (
    "The nodes let pods open no user namespace, which the builder needs; ask an administrator to name a "
    "profile of system calls that allows it (KubernetesOptions.builder_seccomp)."
)
_LOOK_SECONDS = 0.2
_MOST_ERROR = 1500  # of 4096 bytes that a container's last words may have
_KEPT_LINES = 20
_GIB = 1 << 30


class Failed(Exception):
    """The build is over.

    Parameters
    ----------
    kind
        ``step``, ``push``, ``too_large``, ``disk`` or ``failed``: how the runner is to tell it.
    facts
        What the runner's sentence needs besides.
    """

    def __init__(
        self, kind: str, error: str, code: int = 1, facts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(error)
        self.kind, self.error, self.code, self.facts = kind, error, code, facts or {}


def main(step: str) -> int:
    """Take one step; returns its exit code."""
    plan = json.loads((GIVEN / "build" / "plan.json").read_text())
    _prepare(plan)
    if step == "bases":
        _pull_bases(plan)
    elif step == "send":
        _send_when_asked(plan)
    else:
        return _build_to_the_end(plan)
    return 0


def _prepare(plan: Mapping[str, Any]) -> None:
    """Say which registries are asked how; short names are Docker's, as everywhere."""
    lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "permissive"']
    for host in plan["insecure"]:
        lines += ["[[registry]]", f"location = {json.dumps(host)}", "insecure = true"]
    for folder in ("home", "run"):
        (_TMP / folder).mkdir(mode=0o700, exist_ok=True)
    # One of the two programs takes it from a variable too, both from here.
    config = _TMP / "home" / ".config" / "containers"
    config.mkdir(parents=True, exist_ok=True)
    (config / "registries.conf").write_text("\n".join(lines) + "\n")
    os.environ |= {
        "HOME": str(_TMP / "home"),
        "XDG_RUNTIME_DIR": str(_TMP / "run"),
        "TMPDIR": str(_TMP),
    }


def _buildah(plan: Mapping[str, Any], *words: str) -> list[str]:
    places = ["--root", str(STORAGE / "root"), "--runroot", str(_TMP / "run" / "containers")]
    return ["buildah", *places, "--storage-driver", plan["storage"], *words]


# --- before: what it stands on -----------------------------------------------------------------------


def _pull_bases(plan: Mapping[str, Any]) -> None:
    login = ["--authfile", str(REGISTRY_LOGIN)] if REGISTRY_LOGIN.exists() else []
    with _BASES_LOG.open("wb") as log:
        for base in plan["bases"]:
            command = _buildah(plan, "pull", *login, "--", base)
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            log.write(done.stdout)
            if done.returncode:
                # Told by the step whose output is the log.
                _BASES_FAILED.write_text(_why(done.stdout.decode("utf-8", "replace").splitlines()))
                return


# --- the build ---------------------------------------------------------------------------------------


def _build_to_the_end(plan: Mapping[str, Any]) -> int:
    try:
        _build(plan)
    except Failed as failed:
        _note(f"the build has failed: {failed.error}")
        words = {"kind": failed.kind, "error": failed.error[:_MOST_ERROR], **failed.facts}
        LAST_WORDS.write_text(json.dumps(words))
        return failed.code
    _note("the environment is ready")
    return 0


def _build(plan: Mapping[str, Any]) -> None:
    if _BASES_LOG.exists():
        _say(_BASES_LOG.read_text(errors="replace"))
    if _BASES_FAILED.exists():
        raise Failed("step", _BASES_FAILED.read_text(errors="replace"))
    if plan["is_there"]:
        _note("the environment is there already")
    elif plan["has_archive"]:
        _run([*_SKOPEO, f"docker-archive:{_sent()}", f"oci-archive:{_ARCHIVE}"], "failed")
    else:
        _make(plan)
    _have_sent(plan)


def _make(plan: Mapping[str, Any]) -> None:
    context = _TMP / "context"
    context.mkdir()
    if plan["has_context"]:
        _run(["tar", "--no-same-owner", "-xf", str(_sent()), "-C", str(context)], "failed")
    for name in plan["files"]:
        place = context / name
        place.unlink(missing_ok=True)
        place.write_bytes((GIVEN / "build" / "files" / name).read_bytes())
    words = ["bud", "--isolation", "chroot", "--pull-never", "--format", "docker"]
    words += ["--file", str(GIVEN / "build" / "Dockerfile"), "--tag", _LOCAL]
    for name, value in plan["arguments"].items():
        words += ["--build-arg", f"{name}={value}"]
    for name, file in plan["secrets"].items():
        words += ["--secret", f"id={name},src={SECRETS / file}"]
    if plan["target"]:
        words += ["--target", plan["target"]]
    _run(_buildah(plan, *words, str(context)), "step")
    _check_size(plan)
    _run(_buildah(plan, "push", _LOCAL, f"oci-archive:{_ARCHIVE}"), "failed")


def _sent() -> Path:
    """Return the one file that was sent with the recipe."""
    (found,) = (GIVEN / "context").iterdir()
    return found


def _check_size(plan: Mapping[str, Any]) -> None:
    size, most = _size(STORAGE / "root", plan["storage"]), plan["max_bytes"]
    if most is not None and size > most:
        raise Failed("too_large", "it is too large", facts={"bytes": size, "limit": most})


def _size(root: Path, driver: str) -> int:
    """Return what the layers of the result take; containers/storage writes it down of each."""
    images = json.loads((root / f"{driver}-images" / "images.json").read_text())
    layers = json.loads((root / f"{driver}-layers" / "layers.json").read_text())
    known = {one["id"]: one for one in layers}
    at = next(one["layer"] for one in images if _LOCAL in (one.get("names") or ()))
    size = 0
    while at:
        size += max(0, int(known[at].get("diff-size") or 0))
        at = known[at].get("parent")
    return size


def _have_sent(plan: Mapping[str, Any]) -> None:
    """Have the archive sent by the step beside this one, which has the logins."""
    _note(f"sending the image to {plan['push'] or plan['result']}")
    _ANSWER.unlink(missing_ok=True)
    _REQUEST.touch()
    while not _ANSWER.exists():
        time.sleep(_LOOK_SECONDS)
    answer = json.loads(_ANSWER.read_text())
    _say(str(answer["said"]))
    if answer["error"]:
        raise Failed("push", str(answer["error"]), facts={"to": answer["to"]})


# --- beside: sending ---------------------------------------------------------------------------------


def _send_when_asked(plan: Mapping[str, Any]) -> None:
    while True:
        while not _REQUEST.exists():
            time.sleep(_LOOK_SECONDS)
        _REQUEST.unlink()
        answer = _send(plan)
        fresh = _ANSWER.with_suffix(".new")
        fresh.write_text(json.dumps(answer))
        fresh.replace(_ANSWER)


def _send(plan: Mapping[str, Any]) -> dict[str, str]:
    result, said = f"docker://{plan['result']}", ""
    to = plan["result"]
    ours = ["authfile", str(REGISTRY_LOGIN)] if REGISTRY_LOGIN.exists() else []
    copies = []
    if not plan["is_there"]:
        copies.append((to, [*_flags("dest", ours), f"oci-archive:{_ARCHIVE}", result]))
    if plan["push"]:
        theirs = ["authfile", str(PUSH_LOGIN)] if PUSH_LOGIN.exists() else []
        logins = [*_flags("src", ours), *_flags("dest", theirs)]
        copies.append((plan["push"], [*logins, result, f"docker://{plan['push']}"]))
    for to, words in copies:
        done = subprocess.run(
            [*_SKOPEO, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        said += done.stdout
        if done.returncode:
            return {"said": said, "error": _why(done.stdout.splitlines()), "to": to}
    return {"said": said, "error": "", "to": to}


def _flags(side: str, login: Sequence[str]) -> list[str]:
    return [f"--{side}-{login[0]}", login[1]] if login else [f"--{side}-no-creds"]


# --- programs ----------------------------------------------------------------------------------------


def _run(command: Sequence[str], kind: str) -> None:
    """Run a program with its output in the log; raise with its last words where it fails."""
    last: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout or ():
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            last = [*last[-_KEPT_LINES:], line.decode("utf-8", "replace").rstrip()]
    if process.returncode:
        error = _why(last)
        found = _STATUS.search(error)
        code = int(found[1]) if found and kind == "step" else 1
        raise Failed("disk" if _NO_SPACE.search(error) else kind, error, code or 1)


def _why(lines: Iterable[str]) -> str:
    """Return why a program has failed: its last line that says so, else its last."""
    said = [line.strip() for line in lines if line.strip()]
    if any(_NO_NAMESPACE in line for line in said):
        return _CLOSED
    errors = [line for line in said if line.startswith("Error") or "level=fatal" in line]
    why = (errors or said or ["it ended without a word"])[-1]
    logged = _LOGGED.search(why)
    return json.loads(logged[1]) if logged else why


def _note(text: str) -> None:
    _say(f"[kpl] {text}\n")


def _say(text: str) -> None:
    # Through the bytes below, where programs' output goes too: in their order.
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
