"""``make images``: looks over all images, builds some, tries them, and writes down their sizes.

    python tools/images.py [NAME ...] [--lint] [--context FILE] [--base-image IMAGE] …

Without names ``base`` and ``scientific`` are built, the others are looked over; ``all`` builds all.
An image is built from its folder below ``images/``, tried with ``smoke.py`` of the base and its own
as an account that it does not know, without a network, and measured into ``images/SIZES.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kpl_lab import __version__
from kpl_lab.engines.docker.daemon import Daemon
from kpl_lab.errors import KplError
from kpl_lab.settings import DEFAULT_BASE_IMAGE
from kpl_lab.supervisor.image_build import Order, build, have
from kpl_lab.supervisor.image_context import Context, images_folder
from kpl_lab.supervisor.wheel import make_wheel
from tools import image_lint, image_sizes

BASE = "base"
DEFAULT = (BASE, "scientific")
SMOKE_SECONDS = 300
STRANGER = "23456:23456"


def reference(name: str) -> str:
    """Return what an image is called."""
    return f"kpl-lab/{name}:{__version__}"


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog="make images")
    parser.add_argument("names", nargs="*", metavar="NAME", help="images to build, or `all`")
    parser.add_argument("--lint", action="store_true", help="build nothing")
    parser.add_argument(
        "--context",
        type=Path,
        metavar="FILE",
        help="write the builder's context of one image as a tar, build nothing",
    )
    parser.add_argument(
        "--base-image", default=DEFAULT_BASE_IMAGE, help="what the base stands on (%(default)s)"
    )
    parser.add_argument("--network", default="", help="of the builds, as `docker build --network`")
    parser.add_argument("--ca-bundle", type=Path, help="certificates that the builds trust")
    parser.add_argument(
        "--wheels",
        type=Path,
        metavar="FOLDER",
        help="of wheels that pip may take instead of an index's",
    )
    parser.add_argument(
        "--build-arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="as PIP_INDEX_URL, KEEP_CA, EXAMPLES; repeatable",
    )
    parser.add_argument(
        "--sizes",
        type=Path,
        default=images_folder() / "SIZES.md",
        help="file for the sizes (%(default)s)",
    )
    parser.add_argument("--socket", type=Path, default=Path("/var/run/docker.sock"),
                        help="of the Docker daemon (%(default)s)")  # fmt: skip
    return parser.parse_args(arguments)


@contextmanager
def contexts(options: argparse.Namespace) -> Iterator[dict[str, Context]]:
    """Give every image's context; the base's has the wheel of this checkout."""
    wheels = sorted(options.wheels.glob("*.whl")) if options.wheels else []
    with tempfile.TemporaryDirectory(prefix="kpl-wheel-") as folder:
        wheel = make_wheel(Path(folder))
        yield {
            name: Context(
                folder=images_folder() / name,
                wheel=wheel if name == BASE else None,
                wheelhouse=wheels,
                ca_bundle=options.ca_bundle,
            )
            for name in image_lint.names()
        }


async def make(
    name: str, context: Context, options: argparse.Namespace, daemon: Daemon
) -> image_sizes.Row:
    """Build and try one image; returns what was measured."""
    base = options.base_image if name == BASE else reference(BASE)
    await have(daemon, base, say, may_pull=name == BASE)
    order = Order(
        reference=reference(name),
        context=context,
        base=base,
        arguments=dict(one.split("=", 1) for one in options.build_arg),
        network=options.network,
        log=Path(tempfile.gettempdir()) / f"kpl-image-{name}.log",
    )
    say(f"{order.reference} on {base}; log: {order.log}")
    before = await daemon.image(order.reference)
    began = time.monotonic()
    await build(daemon, order, say)
    seconds = time.monotonic() - began
    await asyncio.to_thread(smoke, name, options.socket)
    image, below = await daemon.image(order.reference), await daemon.image(base)
    if image is None or below is None:
        raise KplError(f"Somebody has removed {order.reference} or {base} meanwhile; try again.")
    is_new = before is None or before["Id"] != image["Id"]
    return image_sizes.Row.measured(image, below, seconds if is_new else None)


def smoke(name: str, socket: Path) -> None:
    """Try an image, or say what it has said and raise."""
    for of in dict.fromkeys((BASE, name)):
        program = (images_folder() / of / "smoke.py").read_text()
        done = subprocess.run(
            ["docker", "-H", f"unix://{socket}", "run", "--rm", "-i", "--network=none",
             "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={STRANGER}",
             "--env=HOME=/tmp", "--no-healthcheck", reference(name), "python", "-"],
            input=program, text=True, check=False, timeout=SMOKE_SECONDS,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode:
            raise KplError(f"{reference(name)} fails smoke.py of {of}:\n{done.stdout[-3000:]}")
    say(f"{reference(name)} does what it must")


async def work(chosen: Sequence[str], options: argparse.Namespace) -> None:
    """Build, try and measure."""
    daemon = Daemon(options.socket)
    try:
        await daemon.version()
        with contexts(options) as found:
            for name in chosen:
                row = await make(name, found[name], options, daemon)
                image_sizes.write(options.sizes, {name: row})
    finally:
        await daemon.close()


def say(text: str) -> None:
    """Tell it at once."""
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what was asked for and return the exit code."""
    options = options_of(arguments)
    names = image_lint.names()
    unknown = set(options.names) - {*names, "all"}
    if unknown:
        say(f"There is no images/{min(unknown)}; there are: {', '.join(names)}.")
        return 2
    if options.context:
        with contexts(options) as found:
            options.context.write_bytes(found[(options.names or [BASE])[0]].tar())
        return 0
    complaints = [line for name in names for line in image_lint.complaints(name)]
    say("\n".join(complaints) or f"looked over: {', '.join(names)}")
    if complaints or options.lint:
        return int(bool(complaints))
    asked = options.names or DEFAULT
    chosen = [name for name in names if name in asked or "all" in asked]
    try:
        asyncio.run(work(chosen, options))
    except KplError as error:
        say(error.message)
        return 1
    left = [name for name in names if name not in chosen]
    say(f"built and tried: {', '.join(chosen)}; not built: {', '.join(left) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
