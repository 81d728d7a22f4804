"""Environments: built once, waited for, and told when they cannot be."""

from __future__ import annotations

from typing import Any

from kpl_lab.engines.fake import Script
from kpl_lab.engines.spec import Kind, Replica, ReplicaState, Workload
from tests.platform.running import BUILT, CODE, WAITS, Site, User, until

CODE_BUILT = {**CODE, "environment.yml": BUILT}
FAILS = b"ERROR: No matching distribution found for thing\n"


def building(site: Site, build: Script, other: Script = WAITS) -> None:
    """Let builds and other workloads follow different scripts."""

    def choose(workload: Workload) -> Script:
        return build if workload.kind is Kind.BUILD else other

    site.engine.script = choose


def code_with(package: str) -> dict[str, str]:
    """Return code whose environment is another one for each package."""
    return {**CODE, "environment.yml": BUILT.replace("thing", package)}


async def build_of(alice: User) -> Any:
    return await alice.get("builds/1")


async def test_a_task_waits_for_its_environment_and_says_so(site: Site) -> None:
    building(site, WAITS, Script())
    alice = site.user()
    task = await alice.submit(CODE_BUILT)
    await alice.until("builds/1", "running")
    found = await alice.get(f"tasks/{task['id']}")
    assert found["state"] == "queued"
    assert found["queue"]["waiting_for"] == "its environment is being built"
    await site.engine.finish("build-1")
    assert (await alice.ended(task))["state"] == "succeeded"


async def test_the_task_runs_in_what_was_built(site: Site) -> None:
    building(site, Script())
    alice = site.user()
    task = await alice.submit(CODE_BUILT)
    await alice.until(f"tasks/{task['id']}", "running")
    assert site.workload(f"task-{task['id']}-1").image in site.engine.images.values()


async def test_the_same_recipe_is_built_once(site: Site) -> None:
    building(site, WAITS, Script())
    alice = site.user()
    tasks = [await alice.submit(CODE_BUILT) for _ in range(3)]
    await alice.until("builds/1", "running")
    await site.engine.finish("build-1")
    for task in [*tasks, await alice.submit(CODE_BUILT)]:
        assert (await alice.ended(task))["state"] == "succeeded"
    assert (await alice.http.get("builds/2")).status_code == 404


async def test_a_build_that_fails_fails_the_tasks_with_its_cause(site: Site) -> None:
    building(site, Script(exit_code=1, log=FAILS))
    alice = site.user()
    done = await alice.ended(await alice.submit(CODE_BUILT))
    assert (done["state"], done["reason"]) == ("failed", "build_failed")
    assert "pip found no version that satisfies thing" in done["message"]
    build = await build_of(alice)
    assert (build["state"], build["reason"]) == ("failed", "build_failed")
    log = await alice.get("builds/1/log")
    assert (log["text"], log["complete"]) == (FAILS.decode(), True)
    await until(lambda: not site.engine.workloads)


async def test_a_build_that_failed_is_tried_again_by_the_next_task(site: Site) -> None:
    building(site, Script(exit_code=1), Script())
    alice = site.user()
    await alice.ended(await alice.submit(CODE_BUILT))
    building(site, Script(), Script())
    assert (await alice.ended(await alice.submit(CODE_BUILT)))["state"] == "succeeded"


async def test_an_algorithm_is_ready_when_its_environment_is(site: Site) -> None:
    building(site, WAITS)
    alice = site.user()
    await alice.post("algorithms", {"name": "rec", "upload": await alice.code(CODE_BUILT)})
    await alice.until("builds/1", "running")
    assert (await alice.get("algorithms/rec"))["state"] == "preparing"
    await site.engine.finish("build-1")
    await alice.until("algorithms/rec", "ready")


async def test_an_algorithm_whose_environment_fails_fails(site: Site) -> None:
    building(site, Script(exit_code=1, log=FAILS))
    alice = site.user()
    await alice.post("algorithms", {"name": "rec", "upload": await alice.code(CODE_BUILT)})
    found = await alice.until("algorithms/rec", "failed")
    assert "thing" in found["message"]


async def test_a_service_whose_environment_fails_fails(site: Site) -> None:
    building(site, Script(exit_code=1, log=FAILS))
    alice = site.user()
    made = await alice.deploy(CODE_BUILT)
    found = await alice.until(f"services/{made['id']}", "failed")
    assert (found["reason"], "thing" in found["message"]) == ("build_failed", True)


async def test_a_service_starts_when_its_environment_is_there(site: Site) -> None:
    building(site, WAITS)
    alice = site.user()
    made = await alice.deploy(CODE_BUILT)
    await alice.until("builds/1", "running")
    assert (await alice.get(f"services/{made['id']}"))["state"] == "deploying"
    await site.engine.finish("build-1")
    await alice.until(f"services/{made['id']}", "running")


async def test_a_draft_whose_build_has_failed_meanwhile_says_so_when_sent_off(site: Site) -> None:
    building(site, Script(exit_code=1, log=FAILS))
    alice = site.user()
    draft = await alice.submit(CODE_BUILT, draft=True)
    await alice.until("builds/1", "failed")
    await alice.http.patch(f"tasks/{draft['id']}", json={"start": True})
    done = await alice.ended(draft)
    assert (done["state"], done["reason"]) == ("failed", "build_failed")


async def test_a_build_lost_with_its_machine_is_made_again(site: Site) -> None:
    building(site, WAITS, Script())
    alice = site.user()
    task = await alice.submit(CODE_BUILT)
    await alice.until("builds/1", "running")
    await site.kill()
    await site.engine.forget("build-1")
    building(site, Script(), Script())
    site.start()
    assert (await alice.ended(task))["state"] == "succeeded"


async def test_few_environments_are_built_at_once_and_the_others_say_why_they_wait(
    site: Site,
) -> None:
    building(site, WAITS)
    alice = site.user()
    tasks = [await alice.submit(code_with(f"package{n}")) for n in range(5)]
    for id in (1, 2):
        await alice.until(f"builds/{id}", "running")
    last = f"tasks/{tasks[-1]['id']}"
    why = "waiting for one of 2 other builds to end; 2 ahead of it"

    async def is_told() -> bool:
        return bool((await alice.get("builds/5"))["message"] == why)

    await until(is_told)
    expected = f"its environment is not built yet: {why}; 4 ahead of you"
    assert (await alice.get(last))["queue"]["waiting_for"] == expected
    assert set(site.engine.workloads) == {"build-1", "build-2"}
    reserved = sum(w.limits.memory_mb for w in site.engine.workloads.values())
    assert (await alice.get("capacity"))["memory"]["used"] == reserved
    await site.engine.finish("build-2")
    began = await alice.until("builds/3", "running")
    assert began["message"] is None
    assert (await alice.get("builds/4"))["state"] == "queued"


async def test_an_algorithm_says_why_its_environment_waits(site: Site) -> None:
    building(site, WAITS)
    alice = site.user()
    for number in (1, 2):
        await alice.submit(code_with(f"package{number}"))
        await alice.until(f"builds/{number}", "running")
    await alice.post("algorithms", {"name": "rec", "upload": await alice.code(CODE_BUILT)})

    async def is_told() -> bool:
        (version,) = (await alice.get("algorithms/rec"))["versions"]
        return bool(version["message"] == "waiting for one of 2 other builds to end")

    await until(is_told)


async def test_a_build_waits_until_there_is_memory_for_it(site: Site) -> None:
    building(site, WAITS)
    alice = site.user()
    large = await alice.submit(resources={"memory": 14000})
    await alice.until(f"tasks/{large['id']}", "running")
    await alice.submit(CODE_BUILT)

    async def is_told() -> bool:
        message = (await build_of(alice))["message"]
        return bool(message == "waiting for 4096 MiB of memory (2384 free)")

    await until(is_told)
    assert "build-1" not in site.engine.workloads
    await alice.post(f"tasks/{large['id']}/stop")
    await alice.until("builds/1", "running")


async def test_the_log_of_a_running_build_can_be_read(site: Site) -> None:
    building(site, Script(run_seconds=None, log=b"Collecting thing\n"))
    alice = site.user()
    await alice.submit(CODE_BUILT)
    await alice.until("builds/1", "running")
    await until(lambda: "build-1" in site.engine.workloads)

    async def is_there() -> bool:
        page = await alice.get("builds/1/log")
        return bool(page["text"] == "Collecting thing\n" and not page["complete"])

    await until(is_there)


async def test_a_build_says_what_it_waits_for_where_it_is_to_run(site: Site) -> None:
    building(site, WAITS)
    alice = site.user()
    task = await alice.submit(CODE_BUILT)
    await alice.until("builds/1", "running")
    await until(lambda: "build-1" in site.engine.workloads)
    text = "The node n1 has no room for the image x."
    waits = {"code": "image_no_room", "text": text, "is_progress": False}
    await site.engine.set_replica(
        "build-1", Replica(index=0, state=ReplicaState.STARTING, detail={"waits": waits})
    )

    async def is_told(text: str | None) -> bool:
        return bool((await build_of(alice))["message"] == text)

    await until(lambda: is_told(text))
    queue = (await alice.get(f"tasks/{task['id']}"))["queue"]
    assert queue["waiting_for"] == f"its environment is not built yet: {text}"
    with site.context.database.store(reads_only=True) as store:
        (event,) = [e for e in store.events.of("builds", 1) if e.message == text]
    assert (event.kind, event.level) == ("waiting", "warning")
    await site.engine.set_replica("build-1", Replica(index=0, state=ReplicaState.RUNNING))
    await until(lambda: is_told(None))
