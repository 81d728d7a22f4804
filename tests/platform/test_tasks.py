"""The life of tasks: submitted, run, ended, stopped, deleted; through the API, by the controller."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from kpl_lab.engines.fake import Script, Stage
from kpl_lab.engines.spec import Cause, Replica, ReplicaState
from tests.platform.running import CODE, WAITS, Site, until

MODEL = Script(
    run_seconds=0.05,
    log=b"epoch 1\nepoch 2\n",
    outputs={"save": {"model.bin": b"weights", "sub/labels.txt": b"a"}},
)


async def test_a_submitted_task_runs_and_its_output_becomes_a_model(site: Site) -> None:
    site.engine.script = MODEL
    alice = site.user()
    made = await alice.submit(parameters={"lr": 0.5})
    assert made["state"] == "queued"
    done = await alice.ended(made)
    assert (done["state"], done["exit_code"], done["reason"]) == ("succeeded", 0, None)
    assert done["progress"] == 1.0
    assert done["started_at"] and done["finished_at"]
    saved = done["outputs"][0]
    assert saved | {"key": "save", "kind": "model", "name": "digits", "version": 1} == saved
    assert saved["bytes"] == len(b"weights") + 1
    model = await alice.get("models/digits")
    version = model["versions"][0]
    assert [f["path"] for f in version["files"]] == ["model.bin", "sub/labels.txt"]
    assert version["parameters"] == {"lr": 0.5}
    links = [(link["kind"], link["relation"], link["id"]) for link in version["lineage"]]
    assert ("task", "made_by", made["id"]) in links


async def test_the_log_of_an_ended_task_is_kept_and_the_workload_is_gone(site: Site) -> None:
    site.engine.script = MODEL
    alice = site.user()
    done = await alice.ended(await alice.submit())
    page = await alice.get(f"tasks/{done['id']}/log")
    assert page == {"text": "epoch 1\nepoch 2\n", "offset": 0, "next_offset": 16, "complete": True}
    await until(lambda: not site.engine.workloads)


async def test_the_log_of_a_running_task_is_read_by_offset(site: Site) -> None:
    site.engine.script = Script(run_seconds=None, log=b"one\ntwo\n")
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    page = await alice.get(f"tasks/{task['id']}/log", offset=4)
    assert (page["text"], page["next_offset"], page["complete"]) == ("two\n", 8, False)


async def test_what_a_task_reports_is_in_the_model_version_too(site: Site) -> None:
    site.engine.script = Script(run_seconds=None, outputs={"save": {"m": b"1"}})
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    name = f"task-{task['id']}-1"
    body = {"task_id": task["id"], "type": "scalar_result", "name": "accuracy", "value": 0.97}
    answer = await site.runtime(name).post("task/attribute/update", json=body)
    assert answer.json()["code"] == "Success"
    await site.engine.finish(name)
    await alice.ended(task)
    version = (await alice.get("models/digits"))["versions"][0]
    assert version["metrics"] == {"accuracy": 0.97}


async def test_a_failed_task_says_why_keeps_its_files_and_makes_no_model(site: Site) -> None:
    trace = b'Traceback (most recent call last):\n  File "/w/train.py", line 3, in <module>\n    1/0\nZeroDivisionError: division by zero\n'
    site.engine.script = Script(exit_code=1, log=trace, outputs={"save": {"half.bin": b"half"}})
    alice = site.user()
    done = await alice.ended(await alice.submit())
    assert (done["state"], done["reason"], done["exit_code"]) == ("failed", "python_exception", 1)
    assert "train.py, line 3" in done["message"]
    assert done["remedy"]["action"]
    assert done["outputs"][0]["kind"] == "files"
    kept = await alice.http.get(f"tasks/{done['id']}/outputs/save/download")
    assert b"half.bin" in kept.content
    assert (await alice.get("models"))["items"] == []


@pytest.mark.parametrize(
    ("cause", "detail", "words"),
    [
        (Cause.OUT_OF_MEMORY, {"used_mb": 520, "limit_mb": 512}, "520 of 512 MiB"),
        (Cause.TIME_LIMIT, {"limit_seconds": 60}, "60 seconds"),
        (Cause.KILLED, {}, "killed from outside"),
    ],
)
async def test_the_engine_s_cause_is_told_with_its_numbers(
    site: Site, cause: Cause, detail: dict[str, int], words: str
) -> None:
    site.engine.script = Script(exit_code=-9, cause=cause, detail=detail)
    alice = site.user()
    done = await alice.ended(await alice.submit())
    assert (done["state"], done["reason"]) == ("failed", cause.value)
    assert words in done["message"]


async def test_a_task_that_cannot_be_started_fails_with_the_engine_s_words(site: Site) -> None:
    site.engine.fail_at.add(Stage.START)
    alice = site.user()
    done = await alice.ended(await alice.submit())
    assert (done["state"], done["reason"]) == ("failed", "start_failed")
    assert "told to fail at start" in done["message"]
    site.engine.fail_at.clear()
    await until(lambda: not site.engine.workloads)


async def test_a_task_whose_code_has_vanished_fails_and_says_so(site: Site) -> None:
    await site.kill()
    alice = site.user()
    task = await alice.submit()
    with site.context.database.store() as store:
        store.tasks.update(task["id"], code_digest="0" * 64)
    site.start()
    done = await alice.ended(task)
    assert (done["state"], done["reason"]) == ("failed", "start_failed")
    assert "code" in done["message"]


async def test_a_queued_task_stops_at_once(site: Site) -> None:
    await site.kill()
    alice = site.user()
    task = await alice.submit()
    stopped = await alice.post(f"tasks/{task['id']}/stop")
    assert (stopped["state"], stopped["reason"]) == ("stopped", "stopped")
    site.start()
    await alice.ended(await alice.submit())
    assert (await alice.get(f"tasks/{task['id']}"))["state"] == "stopped"
    again = await alice.http.post(f"tasks/{task['id']}/stop")
    assert (again.status_code, again.json()["code"]) == (409, "already_ended")


@pytest.mark.parametrize("is_stubborn", [False, True])
async def test_a_running_task_is_stopped_and_keeps_what_it_wrote(
    site: Site, is_stubborn: bool
) -> None:
    site.engine.script = Script(
        run_seconds=None, is_stubborn=is_stubborn, outputs={"save": {"half": b"half"}}
    )
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    if is_stubborn:  # ten seconds of grace are the engine's tests' affair
        await alice.post(f"tasks/{task['id']}/stop")
        await alice.until(f"tasks/{task['id']}", "stopping")
        await site.engine.finish(f"task-{task['id']}-1", exit_code=-9, cause=Cause.STOPPED)
    else:
        await alice.post(f"tasks/{task['id']}/stop")
    done = await alice.ended(task)
    assert (done["state"], done["message"]) == ("stopped", "It was stopped by its user.")
    assert done["outputs"][0]["kind"] == "files"
    assert (await alice.get("models"))["items"] == []


async def test_a_task_may_stop_itself(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    runtime = site.runtime(f"task-{task['id']}-1")
    answer = await runtime.post("task/stop", json={"task_id": task["id"]})
    assert answer.json() == {"code": "Success", "msg": "", "data": None}
    done = await alice.ended(task)
    assert (done["state"], done["reason"]) == ("stopped", "stopped_itself")


async def test_a_stop_that_comes_too_late_leaves_the_success(site: Site) -> None:
    site.engine.script = Script(run_seconds=None, outputs={"save": {"m": b"1"}})
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    await site.kill()
    await alice.post(f"tasks/{task['id']}/stop")
    await site.engine.finish(f"task-{task['id']}-1")
    site.start()
    assert (await alice.ended(task))["state"] == "succeeded"
    assert (await alice.get("models/digits"))["version"] == 1


async def test_deleting_a_running_task_leaves_nothing(site: Site) -> None:
    site.engine.script = Script(run_seconds=None, log=b"x", outputs={"save": {"m": b"1"}})
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    assert (await alice.http.delete(f"tasks/{task['id']}")).status_code == 204
    await alice.gone(f"tasks/{task['id']}")
    await until(lambda: not site.engine.workloads)
    assert not site.context.files.task_log(task["id"]).exists()


async def test_deleting_an_ended_task_removes_log_files_and_curves_but_not_the_model(
    site: Site,
) -> None:
    site.engine.script = MODEL
    alice = site.user()
    done = await alice.ended(await alice.submit())
    assert (await alice.http.delete(f"tasks/{done['id']}")).status_code == 204
    await alice.gone(f"tasks/{done['id']}")
    assert not site.context.files.task_log(done["id"]).exists()
    assert (await alice.get("models/digits"))["version"] == 1


async def test_the_token_of_an_ended_task_opens_nothing(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    runtime = site.runtime(f"task-{task['id']}-1")
    await site.engine.finish(f"task-{task['id']}-1")
    await alice.ended(task)
    answer = await runtime.post("task/stop", json={"task_id": task["id"]})
    assert answer.status_code == 401


async def test_a_draft_waits_until_it_is_sent_off(site: Site) -> None:
    site.engine.script = MODEL
    alice = site.user()
    draft = await alice.submit(draft=True)
    await alice.ended(await alice.submit())
    assert (await alice.get(f"tasks/{draft['id']}"))["state"] == "draft"
    sent = await alice.http.patch(f"tasks/{draft['id']}", json={"start": True, "name": "go"})
    assert (sent.json()["state"], sent.json()["name"]) == ("queued", "go")
    assert (await alice.ended(draft))["state"] == "succeeded"
    again = await alice.http.patch(f"tasks/{draft['id']}", json={"start": True})
    assert (again.status_code, again.json()["code"]) == (409, "not_a_draft")


async def test_a_draft_can_be_deleted(site: Site) -> None:
    alice = site.user()
    draft = await alice.submit(draft=True)
    await alice.http.delete(f"tasks/{draft['id']}")
    await alice.gone(f"tasks/{draft['id']}")


async def test_a_repeated_submission_with_the_same_key_is_the_same_task(site: Site) -> None:
    alice, bob = site.user(), site.user("bob")
    first = await alice.submit(key="k1")
    again = await alice.submit(key="k1")
    other = await alice.submit(key="k2")
    of_bob = await bob.submit(key="k1")
    assert first["id"] == again["id"]
    assert len({first["id"], other["id"], of_bob["id"]}) == 3


async def test_two_submissions_with_one_key_at_the_same_moment_make_one_task(site: Site) -> None:
    alice = site.user()
    uploads = [await alice.code(), await alice.code()]
    bodies = [{"upload": u, "code_name": "digits"} for u in uploads]
    found = await asyncio.gather(
        *(alice.http.post("tasks", json=b, headers={"Idempotency-Key": "k"}) for b in bodies)
    )
    assert {a.status_code for a in found} == {201}
    assert len({a.json()["id"] for a in found}) == 1


async def test_events_tell_the_whole_story_in_order(site: Site) -> None:
    site.engine.script = MODEL
    alice = site.user()
    done = await alice.ended(await alice.submit())
    events = (await alice.get(f"tasks/{done['id']}/events"))["items"]
    states = [e["data"]["state"] for e in reversed(events) if e["kind"] == "state"]
    assert states == ["preparing", "running", "succeeded"]


async def test_code_without_the_function_is_refused(site: Site) -> None:
    alice = site.user()
    upload = await alice.code()
    answer = await alice.http.post("tasks", json={"upload": upload, "function": "compile"})
    assert answer.status_code == 422
    assert "compile" in answer.text


async def test_an_input_of_another_kind_than_declared_is_refused(site: Site) -> None:
    site.engine.script = MODEL
    alice = site.user()
    await alice.ended(await alice.submit())
    declared = "{key: data, kind: dataset}, {key: more}"
    manifest = str(CODE["environment.yml"]).replace("train:", f"train:\n  inputs: [{declared}]")
    upload = await alice.code(CODE | {"environment.yml": manifest})
    model = {"kind": "model", "name": "digits"}
    inputs = [{"key": "more", **model}, {"key": "data", **model}]
    answer = await alice.http.post("tasks", json={"upload": upload, "inputs": inputs})
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_kind")
    assert "The input 'data' takes a dataset" in answer.text  # `more` may be either
    assert "data=dataset:NAME" in answer.text


async def test_what_could_never_start_is_refused_with_numbers(site: Site) -> None:
    alice = site.user()
    upload = await alice.code()
    answer = await alice.http.post("tasks", json={"upload": upload, "resources": {"gpu": 3}})
    assert (answer.status_code, answer.json()["code"]) == (429, "never_fits")
    assert "3 GPUs; this installation has 2" in answer.text


async def test_the_workload_gets_the_contract_s_variables(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit(environment={"MINE": "1"}, parameters={"lr": 0.2})
    await alice.until(f"tasks/{task['id']}", "running")
    found = site.workload(f"task-{task['id']}-1").environment
    assert found["KPL_ENV_PARAMETER"] == '{"lr": 0.2}'
    assert found["KPL_ENV_TASK_ID"] == str(task["id"])
    assert found["KPL_METRIC_API"] == found["KPL_ENV_INTERNAL_API_HOST"] == "{{relay}}"
    assert found["KPL_METRIC_TOKEN"] and found["MINE"] == "1"


async def test_what_users_say_is_never_filled_also_where_it_looks_like_placeholders(
    site: Site,
) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit(environment={"MINE": "Answer {{inputs}} at {{port}}"})
    await alice.until(f"tasks/{task['id']}", "running")
    found = site.workload(f"task-{task['id']}-1")
    assert found.templates is not None
    with_braces = {name for name, value in found.environment.items() if "{{" in value}
    assert with_braces == {*found.templates, "MINE"}
    assert not {"MINE", "KPL_ENV_PARAMETER", "KPL_PARAMETER"} & {*found.templates}


async def test_a_task_that_is_started_once_more_says_what_it_waits_for(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit()
    path, name = f"tasks/{task['id']}", f"task-{task['id']}-1"
    began = (await alice.until(path, "running"))["started_at"]
    drained = "Its node is drained; it comes again on another one."
    on_its_way = "The node n2 is pulling the image x."

    async def see(state: ReplicaState, **detail: object) -> None:
        await site.engine.set_replica(name, Replica(index=0, state=state, detail=detail))

    async def is_said(message: str | None) -> bool:
        now = await alice.get(path)
        assert (now["state"], now["started_at"]) == ("running", began)
        return bool(now["message"] == message)

    for text, is_progress in ((drained, False), (on_its_way, True)):
        waits = {"code": "x", "text": text, "is_progress": is_progress}
        await see(ReplicaState.STARTING, waits=waits)
        await until(partial(is_said, text))
    await see(ReplicaState.RUNNING)
    await until(lambda: is_said(None))
    told = (await alice.get(f"{path}/events"))["items"][:3]
    assert [(one["kind"], one["level"], one["message"]) for one in reversed(told)] == [
        ("waiting", "warning", drained),
        ("updated", "normal", on_its_way),
        ("updated", "normal", ""),
    ]
    await site.engine.finish(name)
    done = await alice.ended(task)
    assert (done["state"], done["message"]) == ("succeeded", None)


async def test_no_one_else_sees_or_stops_it(site: Site) -> None:
    site.engine.script = WAITS
    alice, bob = site.user(), site.user("bob")
    task = await alice.submit()
    for method, path in (("GET", ""), ("POST", "/stop"), ("DELETE", ""), ("GET", "/log")):
        answer = await bob.http.request(method, f"tasks/{task['id']}{path}")
        assert answer.status_code == 404, (method, path)
    assert (await bob.get("tasks"))["items"] == []
    assert CODE["train.py"] == (await alice.http.get(f"tasks/{task['id']}/files/train.py")).text
