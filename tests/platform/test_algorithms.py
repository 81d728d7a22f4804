"""Algorithms over HTTP: checked, versioned, their environments built once; images and forms."""

from __future__ import annotations

from typing import Any

import pytest
from httpx import Client, Response

from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import algorithms
from tests.hostile.archives import REFUSED
from tests.platform.conftest import send, tar_of, zip_of

ENVIRONMENT = """\
version: 1
image:
  from_image: python:3.11
train:
  inputs: [{key: data, name: 数据}]
  outputs: [{key: save, name: 模型}]
  cmd: python train.py
"""
CODE: dict[str, bytes | str] = {
    "environment.yml": ENVIRONMENT,
    "parameter.yml": "# how often\nepochs: 3\n",
    "train.py": "print('数据')\n",
    "README.md": "# Digits\n",
}
BUILT = CODE | {"environment.yml": ENVIRONMENT.replace("3.11", "3.11\n  runs: [pip install x]")}


def publish(client: Client, code: dict[str, bytes | str], **given: Any) -> Response:
    upload = send(client, "digits.tar", tar_of(code))
    return client.post("algorithms", json={"name": "digits", "upload": upload} | given)


def finish_build(context: Context, state: str) -> None:
    """Do the controller's part."""
    with context.database.store() as store:
        (build,) = store.builds.active()
        message = None if state == "succeeded" else "pip install x ended with 1."
        reason = None if state == "succeeded" else "build_failed"
        store.builds.update(build.id, state=state, message=message, reason=reason)
        ended = store.builds.get(build.id)
        assert ended is not None
        algorithms.build_finished(store, ended)


def test_code_that_needs_nothing_built_is_ready_at_once(alice: Client) -> None:
    answer = publish(alice, CODE)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["Location"] == f"/kpl/api/v1/algorithms/{made['id']}"
    assert (made["state"], made["version"], made["functions"]) == ("ready", 1, ["train"])
    assert made["readme"] == "# Digits\n"
    assert set(made["files"]) == set(CODE)
    form = made["form"]
    assert form["parameter_schema"]["properties"]["epochs"]["description"] == "how often"
    assert form["functions"][0]["outputs"][0]["kind"] == "model"
    assert alice.get("uploads/1").status_code == 404, "the upload has served its purpose"


def test_a_packed_folder_and_ignored_files(alice: Client) -> None:
    entries = {f"digits/{name}": content for name, content in CODE.items()} | {
        "digits/__pycache__/x.pyc": b"x",
        "digits/.git/config": b"x",
        "digits/notes.tmp": b"x",
        "digits/.kplignore": "*.tmp\n",
    }
    made = publish(alice, entries).json()
    assert set(made["files"]) == {*CODE, ".kplignore"}


def test_the_same_content_is_stored_once(alice: Client, context: Context) -> None:
    publish(alice, CODE)
    publish(alice, CODE)
    assert len(list(context.files.path("code").iterdir())) == 1
    publish(alice, CODE | {"train.py": "print(2)\n"})
    assert len(list(context.files.path("code").iterdir())) == 2
    assert alice.get("algorithms/digits").json()["version"] == 3


def test_stored_code_cannot_be_changed(alice: Client, context: Context) -> None:
    publish(alice, CODE)
    (folder,) = context.files.path("code").iterdir()
    assert all(p.stat().st_mode & 0o222 == 0 for p in (folder, *folder.rglob("*")))


def test_a_version_is_in_use_when_its_environment_is_built(alice: Client, context: Context) -> None:
    made = publish(alice, BUILT).json()
    assert (made["state"], made["version"]) == ("preparing", None)
    build = alice.get(f"builds/{made['versions'][0]['build_id']}").json()
    assert build["state"] == "queued"
    finish_build(context, "succeeded")
    made = alice.get("algorithms/digits").json()
    assert (made["state"], made["version"]) == ("ready", 1)
    assert made["versions"][0]["environment"] == build["digest"]
    again = publish(alice, BUILT | {"train.py": "print(2)"}).json()
    assert again["version"] == 2, "the same lines need no second build"


def test_a_failed_build_leaves_the_version_before_in_use(alice: Client, context: Context) -> None:
    publish(alice, CODE)
    publish(alice, BUILT)
    finish_build(context, "failed")
    made = alice.get("algorithms/digits").json()
    assert (made["state"], made["version"], made["functions"]) == ("ready", 1, ["train"])
    failed = made["versions"][0]
    assert (failed["state"], failed["reason"]) == ("failed", "build_failed")
    assert failed["message"] == "pip install x ended with 1."


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"environment.yml": "version: 1\n"}, "invalid_file", "environment.yml, line 1"),
        (
            {"environment.yml": ENVIRONMENT.replace("train:", "trian:")},
            "invalid_file",
            "did you mean 'train'",
        ),
        ({"parameter.yml": "- a\n"}, "invalid_file", "parameter.yml, line 1"),
    ],
)
def test_a_failed_check_says_the_line_and_changes_nothing(
    change: dict[str, bytes | str], code: str, says: str, alice: Client, context: Context
) -> None:
    publish(alice, CODE)
    answer = publish(alice, CODE | change)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert says in answer.json()["message"]
    assert len(alice.get("algorithms/digits").json()["versions"]) == 1
    assert list(context.files.path("incoming").iterdir()) == []


def test_a_folder_without_environment_yml_is_told_what_to_add(alice: Client) -> None:
    answer = publish(alice, {"train.py": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_environment_yml")


@pytest.mark.parametrize("what", ["tar up", "zip link", "tar.gz cut", "zip bomb", "text"])
def test_hostile_code_is_refused(what: str, alice: Client) -> None:
    upload = send(alice, "code.tar", REFUSED[what]())
    answer = alice.post("algorithms", json={"name": "evil", "upload": upload})
    assert answer.status_code in (413, 422), answer.text
    assert alice.get("algorithms").json()["items"] == []


def test_code_above_the_limit_is_refused_with_what_helps(alice: Client, context: Context) -> None:
    context.options.code_limit_mb = 1
    answer = publish(alice, CODE | {"data.bin": b"x" * 1_100_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "code_too_large")
    assert ".kplignore" in answer.json()["message"]


def test_a_key_makes_anew_what_was_deleted(alice: Client) -> None:
    made = []
    for _ in range(2):
        body = {"name": "mine", "upload": send(alice, "code.tar", tar_of(CODE))}
        answer = alice.post("algorithms", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
        assert alice.delete(f"algorithms/{made[-1]}").status_code == 204
    assert len(set(made)) == 2


def test_code_above_the_limit_is_refused_before_it_is_sent(alice: Client, context: Context) -> None:
    context.options.code_limit_mb = 1
    announced = {"filename": "code.tar", "size": 1024 * 1024 + 1, "is_code": True}
    answer = alice.post("uploads", json=announced)
    assert (answer.status_code, answer.json()["code"]) == (413, "code_too_large")
    assert alice.post("uploads", json=announced | {"size": 1024 * 1024}).status_code == 201
    assert alice.post("uploads", json=announced | {"is_code": False}).status_code == 201


def test_an_unknown_image_is_replaced_where_that_is_allowed_else_refused(
    alice: Client, context: Context
) -> None:
    other = CODE | {"environment.yml": ENVIRONMENT.replace("python:3.11", "registry/x:1")}
    assert publish(alice, other).status_code == 201
    wrong = CODE | {"environment.yml": ENVIRONMENT.replace("python:3.11", "pyhton:3.11")}
    assert "Did you mean 'python:3.11'?" in publish(alice, wrong).json()["notices"][-1]
    context.options.allow_image_fallback = False
    answer = publish(alice, other)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_image")


class TestFiles:
    def test_they_are_shown_as_text(self, alice: Client) -> None:
        publish(alice, CODE | {"page.html": "<script>alert(1)</script>", "sub/a b.py": "x"})
        for name, content in (("train.py", "print('数据')\n"), ("sub/a b.py", "x")):
            assert alice.get(f"algorithms/digits/versions/1/files/{name}").text == content
        page = alice.get("algorithms/digits/versions/1/files/page.html")
        assert page.headers["content-type"] == "text/plain; charset=utf-8"
        assert page.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize(
        "name",
        ["nothing.py", "../../../secrets/jwt", "%2e%2e/%2e%2e/secrets/jwt", "..%2f..%2fx", "sub"],
    )
    def test_nothing_else_is(self, name: str, alice: Client) -> None:
        publish(alice, CODE | {"sub/a.py": "x"})
        assert alice.get(f"algorithms/digits/versions/1/files/{name}").status_code == 404

    def test_what_is_no_text_is_told(self, alice: Client) -> None:
        publish(alice, CODE | {"a.bin": b"\xff\xfe\x00"})
        answer = alice.get("algorithms/digits/versions/1/files/a.bin")
        assert (answer.status_code, answer.json()["code"]) == (422, "not_text")


def test_a_repeated_request_publishes_once(alice: Client) -> None:
    upload = send(alice, "digits.tar", tar_of(CODE))
    body = {"name": "digits", "upload": upload}
    for _ in range(2):
        answer = alice.post("algorithms", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 201, answer.text
    assert len(answer.json()["versions"]) == 1


def test_deleting_keeps_the_code_that_tasks_were_made_with(alice: Client, context: Context) -> None:
    publish(alice, CODE)
    assert alice.delete("algorithms/digits").status_code == 204
    assert alice.get("algorithms").json()["items"] == []
    assert len(list(context.files.path("code").iterdir())) == 1


def test_a_zip_is_as_good_as_a_tar(alice: Client) -> None:
    upload = send(alice, "digits.zip", zip_of(CODE))
    answer = alice.post("algorithms", json={"name": "digits", "upload": upload})
    assert answer.json()["state"] == "ready"


class TestForms:
    def test_the_two_texts_become_a_form(self, alice: Client) -> None:
        body = {"environment_yml": ENVIRONMENT, "parameter_yml": "lr: 0.1 # step\n"}
        form = alice.post("forms", json=body).json()
        assert form["functions"][0]["name"] == "train"
        assert form["parameter_defaults"] == {"lr": 0.1}

    def test_what_is_wrong_is_told_with_its_line(self, alice: Client) -> None:
        answer = alice.post("forms", json={"environment_yml": "version: 1\nimge: {}\n"})
        assert answer.status_code == 422
        assert answer.json()["detail"]["file"] == "environment.yml"
