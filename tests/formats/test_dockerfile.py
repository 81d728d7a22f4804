"""Which images a Dockerfile names: every one of them, however it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl_lab.errors import Invalid
from kpl_lab.formats.dockerfile import Dockerfile, check_triggers, read_dockerfile

CATALOG = {"scientific": "kpl-lab/scientific:1", "python:3.11": "kpl-lab/base:1"}


def read(text: str, **arguments: str) -> Dockerfile:
    def resolve(name: str, line: int) -> str:
        if name == "secret":
            raise Invalid(f"line {line}: not yours", code="unknown_image")
        return CATALOG.get(name, name)

    return read_dockerfile(text, arguments, resolve)


def test_names_of_the_catalog_are_written_out() -> None:
    found = read("FROM scientific\nRUN pip install six\n")
    assert found.text == "FROM kpl-lab/scientific:1\nRUN pip install six\n"
    assert found.bases == ("kpl-lab/scientific:1",)
    assert not found.needs_buildkit


def test_stages_are_no_images() -> None:
    text = "FROM python:3.11 AS Make\nRUN make\nFROM scratch\nCOPY --from=make /a /\nCOPY --from=0 /b /\n"
    found = read(text)
    assert found.bases == ("kpl-lab/base:1",)
    assert "COPY --from=make /a /" in found.text


def test_arguments_before_from_are_filled_in() -> None:
    text = "ARG BASE=python TAG=3.11\nARG OTHER\nFROM ${BASE}:$TAG\nFROM ${OTHER:-quay.io/a/b}\n"
    assert read(text).bases == ("kpl-lab/base:1", "quay.io/a/b")
    assert read(text, BASE="corp/x", TAG="2", OTHER="debian").bases == ("corp/x:2", "debian")


def test_a_base_is_taken_for_this_machine() -> None:
    found = read("FROM --platform=$BUILDPLATFORM debian AS a\nFROM --platform=linux/arm64 a\n")
    assert found.text == "FROM debian AS a\nFROM a\n"
    assert found.notices == ("Everything is built for this machine: `--platform` is left out.",)


@pytest.mark.parametrize(
    "text",
    [
        "from secret",
        "FROM \\\n  secret",
        "# escape=`\nFROM `\nsecret",
        "FROM \\\n# a comment\n\nsecret",
        "ARG X=secret\nFROM $X",
        "ARG X=sec\nARG Y=${X}ret\nFROM ${Y}",
        'FROM "secret"',
        "FROM debian\nCOPY --from=secret / /",
        "FROM debian\nCOPY --chown=1 --fr\\\nom=secret / /",
        "FROM debian\nRUN --mount=type=bind,from=secret ls",
        'FROM debian\nRUN --mount=type=bind,"FROM=secret" ls',
        "FROM debian\nONBUILD COPY --from=secret / /",
        "FROM debian\nRUN <<EOF\necho \\\nEOF\nFROM secret\n",
    ],
)
def test_no_image_is_hidden(text: str) -> None:
    with pytest.raises(Invalid):
        read(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no FROM"),
        ("RUN ls\n", "no FROM"),
        ("FROM $X\n", "X has no value"),
        ("FROM\n", "write it as FROM"),
        ("FROM a b c\n", "write it as FROM"),
        ("# syntax=evil/frontend\nFROM a\n", "not Docker's own"),
        ("# escape=x\nFROM a\n", "escape character"),
        ("FROM a\nCOPY --from=$X / /\n", "write out"),
        ("FROM a\nCOPY --from=scientific / /\n", "name the image as kpl-lab/scientific:1"),
        ("FROM a\nRUN x \\\nFROM secret\n", "behind a continued line"),
        ("FROM a\n" + "#" * 300_000, "longer than"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(Invalid, match="line ") as refused:
        read(text)
    assert words in refused.value.message
    assert refused.value.code == "bad_dockerfile"


def test_the_syntax_of_docker_is_the_builders_own() -> None:
    found = read("# syntax=docker/dockerfile:1.7\nFROM a\n")
    assert found.text == "#\nFROM a\n"
    assert found.notices


@pytest.mark.parametrize(
    "line",
    [
        "RUN --mount=type=secret,id=x cat /run/secrets/x",
        "COPY --chmod=644 a /",
        "COPY --chown=1:1 --link a /",
        "RUN <<EOF\nls\nEOF",
        "COPY <<'EOF' /a\nx\nEOF",
    ],
)
def test_newer_instructions_need_the_newer_builder(line: str) -> None:
    assert read(f"FROM a\n{line}\n").needs_buildkit
    assert not read("FROM a\nCOPY --chown=1 a /\nRUN cat < a << 2\n").needs_buildkit


@given(st.text(alphabet='FROMfrom \n\\`$"{}=:-#secretARG', max_size=200))
def test_no_text_brings_down_the_reader_nor_passes_a_plain_from(text: str) -> None:
    try:
        found = read(text)
    except Invalid:
        return
    for line in found.text.splitlines():
        assert line.lower().split()[:2] != ["from", "secret"]


@pytest.mark.parametrize(
    "step",
    [
        "ADD http://169.254.169.254/latest/meta-data/ /stolen",
        "add --chown=1:1 HTTPS://example.org/a.tgz /",
        'ADD ["http://127.0.0.1:8000/", "/x"]',
        'ADD ["\\u0068ttp://127.0.0.1/", "/x"]',
        "ADD a b \\\n  http://127.0.0.1/ /x/",
        "ADD ht\\tp://127.0.0.1/ /x",
        'ADD "http://127.0.0.1/" /x',
        "ARG A\nADD $A /x",
        "ARG A\nADD ht${A} /x",
        "ARG A\nADD http://${A} /x",
        "ADD git@example.org:a/b.git /x",
        "ADD https://github.com/a/b.git#main /x",
        "ADD github.com/a/b /x",
        "ONBUILD ADD http://127.0.0.1/ /x",
        "ADD [ http://127.0.0.1/ /x",
    ],
)
def test_an_address_is_not_added(step: str) -> None:
    with pytest.raises(Invalid, match="machine's own network") as refused:
        read(f"FROM debian\n{step}\n")
    assert refused.value.code == "bad_dockerfile"


@pytest.mark.parametrize(
    "step",
    [
        "ADD app-${VERSION}.tar.gz /opt",
        "ADD httpd.conf github.com.txt /etc/",
        'ADD ["a b.txt", "/x"]',
        "COPY $FILES /x",
        "RUN curl -fsSLo /x https://example.org/x",
    ],
)
def test_files_are_added(step: str) -> None:
    assert step in read(f"FROM debian\n{step}\n").text


@pytest.mark.parametrize(
    ("trigger", "why"),
    [
        ("COPY --from=secret / /", "takes files from another image"),
        ("RUN --mount=type=bind,from=secret cat /x", "takes files from another image"),
        ("ADD http://127.0.0.1/ /x", "adds an address"),
        ("ADD $ADDRESS /x", "adds an address"),
    ],
)
def test_a_step_that_waits_in_an_image_may_do_no_more(trigger: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        check_triggers(["COPY . /app", trigger])


def test_usual_steps_that_wait_in_an_image_are_none_of_our_business() -> None:
    check_triggers(["COPY requirements.txt /", "RUN pip install -r requirements.txt", "ADD a /b"])


HERE = "RUN <<EOF\n{}\nEOF\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('FROM debian\nCOPY --from=""secret / /', "without quotes"),
        ("FROM debian\nCOPY --fr\\om=secret / /", "without quotes"),
        ('FROM debian AS r.x\nFROM r.x\nCOPY --from=r.x":5000/s:1" / /', "without quotes"),
        ('FROM debian\nRUN --mount="type=bind,from=secret" true', "without quotes"),
        ("FROM debian\nCOPY --from secret / /", "write options as --name=value"),
        ("FROM --other=1 debian", "does not take --other=1"),
        ("// syntax=evil\nFROM debian", "no instruction"),
        ('{"syntax": "evil"}\nFROM debian', "no instruction"),
        ("#!x\n# syntax=evil\nFROM debian", "begins with #!"),
        ("\ufeff# syntax=evil\nFROM debian", "syntax evil is not"),
        ("FROM debian\nRUN true \\\\\nADD http://169.254.169.254/ /x", "depends on the builder"),
        (
            "FROM debian\nRUN true \\\u00a0\nADD http://169.254.169.254/ /x",
            "depends on the builder",
        ),
        ("FROM debian\nRUN true \\\\\nFR\\\nOM secret", "depends on the builder"),
        ("FROM debian\n" + HERE.format("FROM debian AS secret"), "in a here document"),
        ("FROM debian\nRUN <<'#E'\n#E\nADD http://h/ /x", "name the end of a here document"),
        ("FROM debian\n" + HERE.format("true \\") + "ADD http://h/ /x", "machine's own network"),
        ("FROM debian\n" + HERE.format("ADD http://h/ /x"), "machine's own network"),
        ('FROM debian\nADD ["\\u0068ttp://h/", "/x"] more', "machine's own network"),
        ("FROM debian\nADD " + "[" * 20_000, "machine's own network"),
        ("FROM debian\nADD who@example.org:a/b.git /x", "machine's own network"),
    ],
)
def test_what_builders_read_differently_is_refused(text: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        read(text)


def test_a_mark_at_the_begin_hides_no_stage() -> None:
    with pytest.raises(Invalid, match="not yours"):
        read("\ufeffFROM secret\nFROM python:3.11\nCOPY --from=0 / /x\n")


def test_a_stage_is_none_before_it_has_ended() -> None:
    with pytest.raises(Invalid, match="not yours"):
        read("FROM debian AS secret\nCOPY --from=secret / /\n")
    assert read("FROM debian\nCOPY --from=0 / /\n").bases == ("debian", "0")


@pytest.mark.parametrize("name", ["BUILDKIT_SYNTAX", "buildkit_inline_cache"])
def test_arguments_of_the_builder_itself_are_refused(name: str) -> None:
    with pytest.raises(Invalid, match="the builder's own"):
        read("FROM debian\n", **{name: "evil/frontend"})


def test_a_here_document_is_read_and_ends() -> None:
    text = "FROM debian\n" + HERE.format("pip install six\necho done") + "FROM scientific\n"
    found = read(text)
    assert found.bases == ("debian", "kpl-lab/scientific:1")
    assert found.needs_buildkit


def test_steps_that_wait_say_nothing_in_quotes() -> None:
    with pytest.raises(Invalid, match="takes files from another image"):
        check_triggers(['COPY --fr"o"m=secret / /'])
