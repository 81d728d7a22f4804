"""Writes ``src/sentences.json``: what the platform says in English, for JupyterLab to translate.

The platform speaks English; JupyterLab shows its sentences in the user's language by what stands
around the places of names and numbers. They are read from the sources: the fault dictionary, and
the texts of errors. ``kpl_lab/locale`` has the translations, under the context ``platform``.

    python tools/sentences.py
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from kpl_lab import errors
from kpl_lab.engines.kubernetes import pulling, refused, route_words, scheduling, starting
from kpl_lab.platform.domain import capacity, images
from kpl_lab.platform.domain.faults import FAULTS, Fault

ROOT = Path(__file__).parents[1]
FILE = ROOT / "src" / "sentences.json"
# Where errors are raised that the panels show.
SOURCES = (
    "kpl_lab/platform/api",
    "kpl_lab/platform/domain",
    "kpl_lab/platform/outlook.py",
    "kpl_lab/platform/storage/bucket_errors.py",
    "kpl_lab/platform/storage/cached.py",
    "kpl_lab/platform/storage/remote.py",
    *(
        f"kpl_lab/engines/kubernetes/{name}.py"
        for name in (
            *("contact", "ending", "pulling", "scheduling", "starting", "telling", "waiting"),
            "words",
        )
    ),
    "kpl_lab/engines/docker/images.py",
    "kpl_lab/engines/local/images.py",
    "kpl_lab/engines/local/accounts.py",
    "kpl_lab/client/build_material.py",
    "kpl_lab/lab",
    "kpl_lab/naming.py",
)
# Where sentences are returned; they end with what holds meanwhile, which is a sentence of its own.
RETURNED = "kpl_lab/engines/kubernetes/route_words.py"
MEANWHILE = " {meanwhile}"
# What code in a task is told, in its own log.
NOT_SHOWN = ("kpl_lab/platform/domain/metrics.py",)
ERRORS = frozenset(
    name
    for name, value in (*vars(errors).items(), *vars(refused).items())
    if isinstance(value, type) and issubclass(value, errors.KplError)
)
# What the engine for clusters says of a replica has its sentence in this argument.
SAYING, TEXT = "Saying", "text"
# So many kinds of obstacles at once have a translation.
OBSTACLES_MOST = 4
# What is made of parts elsewhere: ends that no fault of the dictionary fits (`faults._by_exit_code`),
# a built image that was removed (`unused_images`), how calls arrive
# (`service_states.note_way`), how a cluster mounts (`kubernetes.live_mounts`),
# why a cluster does not answer
# (`kubernetes.contact`, `kubernetes.refused`), how a command ended (`kubernetes.starting`), what is
# waited for (`capacity.words`,
# `tasks._position`, `server_queue._sentence`).
MADE_OF_PARTS = (
    "The command was ended by signal {signal}.",
    "The command ended with exit code {code}.",
    "The end of the log says what it was doing.",
    "Nothing has used it for a long time, so it was removed; it is built anew when it is needed.",
    "Calls reach the service by a route of its own.",
    "The node agent shows it: a node keeps one copy for all servers.",
    "It was copied into the server: {why}.",
    "{done} of {all} MiB are on its node.",
    "waiting for {what} and {more}; {ahead} ahead of you",
    "waiting for {what} and {more}",
    "waiting for {what}; {ahead} ahead of you",
    "waiting for {what}; {ahead} ahead of it",
    "waiting for {what}",
    "{what} in the pool {pool}",
    "{what} of your quota in the pool {pool}",
    "waiting for its turn",
    "waiting for its turn; {ahead} ahead of you",
    "waiting for its turn; {ahead} ahead of it",
    "waiting for one of {running} other builds to end",
    "waiting for one of {running} other builds to end; {ahead} ahead of it",
    "waiting behind a notebook server that needs {what}",
    "waiting behind a notebook server that needs {what}; {ahead} ahead of you",
    "about to start",
    "Its files are being fetched from the object storage{far}.",
    "about to start; {ahead} ahead of you",
    "it did not answer in time",
    "nothing answers there",
    "its name is not known here",
    "the connection broke",
    "in the namespace {namespace}",
    "in the whole cluster",
    "exit code {code}",
    "signal {code}",
    "its environment is being built",
    "its environment is being built; {ahead} ahead of you",
    "its environment is not built yet: {waits}",
    "It waits in the queue {queue}, and the cluster has no Kueue that would let it start; ask an "
    "administrator to install Kueue, or to take the queue out of the options.",
    "nothing can start while the engine does not answer",
    "nothing can start while the engine does not answer; {ahead} ahead of you",
    "nothing can start: {why}",
    "nothing can start: {why}; {ahead} ahead of you",
    *(
        f"{{count}} {kind} ({{free}} free)"
        for kind in dict.fromkeys((*capacity.KINDS.values(), "CPU core", "GPU"))
    ),
)


def of_fault(fault: Fault) -> Iterator[str]:
    """Return the sentences of one fault of the dictionary."""
    for text in (fault.cause, fault.action, fault.usual_duration):
        if text:
            # A quoted value keeps its quotes, which are the value's here.
            yield re.sub(r"\{(\w+)![rsa]\}", r"{\1}", text)


def of_errors() -> Iterator[str]:
    """Return the texts of all errors that are raised with one."""
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            text = _text_of(node) if isinstance(node, ast.Call) else None
            if text and re.search("[a-z] [a-z]", text):
                yield text


def _sources() -> Iterator[Path]:
    for source in SOURCES:
        place = ROOT / source
        found = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        yield from (path for path in found if str(path.relative_to(ROOT)) not in NOT_SHOWN)


def _text_of(call: ast.Call) -> str | None:
    named = call.func.id if isinstance(call.func, ast.Name) else None
    texts = [word.value for word in call.keywords if named == SAYING and word.arg == TEXT]
    texts += call.args[:1] if named in ERRORS else []
    if not texts:
        return None
    first = texts[0]
    if isinstance(first, ast.Constant):
        return str(first.value)
    return _template(first) if isinstance(first, ast.JoinedStr) else None


def _template(text: ast.JoinedStr) -> str:
    names: list[str] = []
    parts: list[str] = []
    for part in text.values:
        if isinstance(part, ast.FormattedValue):
            name = _name_of(part.value)
            names.append(name)
            count = names.count(name)
            parts.append(f"{{{name}{count if count > 1 else ''}}}")
        elif isinstance(part, ast.Constant):
            parts.append(str(part.value))
    return "".join(parts)


def _name_of(value: ast.expr) -> str:
    if isinstance(value, ast.Name):
        return value.id.lower().strip("_")
    if isinstance(value, ast.Attribute):
        return value.attr.strip("_")
    if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
        key = value.slice.value
        return key if isinstance(key, str) else "value"
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        called = {"whole": value.args[0], "_node": ast.Name("node")}.get(value.func.id)
        return _name_of(called) if called is not None else "value"
    return "value"


def of_routes() -> Iterator[str]:
    """Return what is said of routes that a gateway does not take."""
    for node in ast.walk(ast.parse((ROOT / RETURNED).read_text())):
        said = node.value if isinstance(node, ast.Return) else None
        said = node.body if isinstance(node, ast.Lambda) else said
        if isinstance(said, ast.JoinedStr):
            text = _template(said).removesuffix(MEANWHILE)
        else:
            text = str(getattr(said, "value", ""))
        if re.search(r"[a-z] [a-z].*\.$", text):
            yield text
    yield route_words.MEANWHILE


def of_clusters() -> Iterator[str]:
    """Return what is said of pods and made of parts: images, commands, and what nodes lack."""
    for text, _ in pulling.TEXTS.values():
        yield from (text, text + pulling.ANSWERED)
    yield from (text for *_, text in starting.STARTS)
    yield from scheduling.PHRASES.values()
    yield from (*scheduling.STEPS.values(), scheduling.ELSE, scheduling.NEVER)
    for count in range(1, OBSTACLES_MOST + 1):
        parts = ", ".join(
            scheduling.PART.format(phrase=f"{{what{n}}}", count=f"{{some{n}}}", total=f"{{all{n}}}")
            for n in range(1, count + 1)
        )
        yield from (f"{scheduling.NO_NODE}{parts}.{end}" for end in ("", scheduling.TABLE))


def sentences() -> list[str]:
    """Return all of them, sorted."""
    of_faults = (text for fault in FAULTS for text in of_fault(fault))
    own = str(images.NEW["message"])
    return sorted({*of_faults, *of_errors(), *of_clusters(), *of_routes(), *MADE_OF_PARTS, own})


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(sentences(), ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()
