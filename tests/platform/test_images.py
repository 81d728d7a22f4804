"""The image catalog: the administrator's file, what others register, and who finds what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from httpx import Client

from kpl_lab.engines.fake import FakeEngine, Script
from kpl_lab.engines.spec import ImageFacts, Kind, RegistryLogin
from kpl_lab.errors import EngineError, Invalid
from kpl_lab.formats.environment_yml import parse_environment
from kpl_lab.platform import scopes
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, builds, catalog_file, image_changes
from kpl_lab.platform.domain.builds import Ordered
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.schemas.images import Credentials, ImageCreate
from tests.platform.conftest import Hub, Login, look_at_catalog
from tests.platform.running import CODE, Site, until

TWO = """\
version: 1
images:
  - {name: base, title: Base, default: true, environment: /env/base, aliases: ["python:3.11"]}
  - name: torch
    title: PyTorch
    environment: /env/torch
    packages: [torch]
    max_resources: {cpu: 2, memory: 4096, gpu: 1}
    variables: {OMP_NUM_THREADS: 2}
"""
TORCH = ImageFacts(
    packages={"python": "3.12.1", "torch": "2.7.0", "jupyterlab": "4.4.1", "kpl-lab": "0.1.0"},
    digest="sha256:1",
    architecture="x86_64",
)
MISSING = EngineError("There is no such thing.", code="image_missing")


@pytest.fixture
def engine(context: Context) -> FakeEngine:
    assert isinstance(context.engine, FakeEngine)
    context.engine.catalog["/env/torch"] = TORCH
    return context.engine


@pytest.fixture
def file(context: Context, engine: FakeEngine) -> Path:
    """The administrator's file, with two images, taken up."""
    path = context.settings.home.root / "images.yml"
    path.write_text(TWO)
    look_at_catalog(context)
    return path


def names(client: Client, **query: str) -> list[str]:
    return [one["name"] for one in client.get("images", params=query).json()["items"]]


def register(client: Client, **fields: Any) -> Any:
    return client.post("images", json={"name": "mine", "reference": "/env/mine", **fields})


class TestFile:
    def test_its_entries_are_listed_in_its_order_with_what_is_in_them(
        self, alice: Client, file: Path
    ) -> None:
        found = alice.get("images").json()
        base, torch = found["items"]
        assert (base["name"], base["default"], base["owner"]) == ("base", True, "kpl-lab")
        assert (torch["state"], torch["source"]) == ("ready", "file")
        assert torch["versions"] == {"python": "3.12.1", "torch": "2.7.0"}
        detail = alice.get("images/torch").json()
        assert detail["packages"]["jupyterlab"] == "4.4.1"
        assert detail["variables"] == {"OMP_NUM_THREADS": "2"}
        assert alice.get("images/python:3.11").json()["id"] == base["id"]
        assert alice.get(f"images/{torch['id']}").json()["name"] == "torch"

    def test_an_entry_keeps_its_id_while_it_keeps_its_name(
        self, alice: Client, context: Context, file: Path
    ) -> None:
        before = alice.get("images/torch").json()
        file.write_text(TWO.replace("title: PyTorch", "title: PyTorch 2, CPU"))
        look_at_catalog(context)
        after = alice.get("images/torch").json()
        assert (after["id"], after["title"]) == (before["id"], "PyTorch 2, CPU")
        file.write_text(TWO.split("  - name: torch")[0])
        look_at_catalog(context)
        assert names(alice) == ["base"]

    def test_while_it_is_wrong_the_last_good_one_stays_and_says_why(
        self, alice: Client, context: Context, file: Path
    ) -> None:
        file.write_text(TWO.replace("title: PyTorch", "titel: PyTorch"))
        with pytest.raises(Invalid):
            catalog_file.load(context)
        assert names(alice) == ["base", "torch"]
        found = alice.get("catalog").json()
        assert found["file"] == "images.yml"
        assert found["problem"].startswith("images.yml, line 5: ")
        assert "did you mean 'title'" in found["problem"]

    def test_it_must_have_a_default_that_this_engine_can_start(
        self, context: Context, file: Path
    ) -> None:
        file.write_text(TWO.replace("environment: /env/base", "reference: kpl/base"))
        with pytest.raises(Invalid, match="default image has no `environment`"):
            catalog_file.load(context)

    def test_what_cannot_be_had_says_so_and_is_looked_at_again_with_the_next_file(
        self, alice: Client, context: Context, engine: FakeEngine, file: Path
    ) -> None:
        engine.catalog["/env/torch"] = MISSING
        look_at_catalog(context)
        torch = alice.get("images/torch").json()
        assert (torch["state"], torch["reason"]) == ("failed", "image_missing")
        assert torch["message"] == "There is no such thing."
        engine.catalog["/env/torch"] = TORCH
        look_at_catalog(context)
        assert alice.get("images/torch").json()["state"] == "ready"

    def test_what_it_lists_is_changed_in_it_alone(self, admin: Client, file: Path) -> None:
        for answer in (
            admin.patch("images/torch", json={"title": "x"}),
            admin.delete("images/torch"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "kept_in_file")

    async def test_a_running_platform_sees_a_change_at_once(self, site: Site) -> None:
        path = site.context.settings.home.root / "images.yml"
        path.write_text(TWO)
        alice = site.user("alice")

        async def has_torch() -> bool:
            items = (await alice.get("images"))["items"]
            return "torch" in [one["name"] for one in items if one["state"] == "ready"]

        await until(has_torch)


class TestRegistering:
    def test_an_image_is_looked_at_before_anybody_starts_from_it(
        self, admin: Client, context: Context, engine: FakeEngine
    ) -> None:
        made = register(admin, title="Mine", visibility="public", aliases=["our/own:1"])
        assert made.status_code == 201
        assert (made.json()["state"], made.json()["source"]) == ("preparing", "registered")
        look_at_catalog(context)
        found = admin.get("images/mine").json()
        assert (found["state"], found["owner"], found["title"]) == ("ready", "admin", "Mine")
        assert admin.get(f"images/{found['id']}").json()["aliases"] == ["our/own:1"]

    def test_one_that_cannot_be_had_says_why(
        self, admin: Client, context: Context, engine: FakeEngine
    ) -> None:
        engine.catalog["/env/mine"] = MISSING
        register(admin)
        look_at_catalog(context)
        found = admin.get("images/mine").json()
        assert (found["state"], found["message"]) == ("failed", "There is no such thing.")

    @pytest.mark.parametrize(
        ("fields", "status", "code"),
        [
            ({"name": "12"}, 422, "invalid_name"),
            ({"reference": "relative/env"}, 422, "invalid_reference"),
            ({"aliases": ["a b"]}, 422, "invalid_name"),
            ({"documentation": "javascript:alert(1)"}, 422, "invalid"),
            ({"nonsense": 1}, 422, "invalid"),
        ],
    )
    def test_what_cannot_be_is_refused_now(
        self, admin: Client, fields: dict[str, Any], status: int, code: str
    ) -> None:
        answer = register(admin, **fields)
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    def test_two_of_one_name_are_one_too_many(self, admin: Client) -> None:
        register(admin)
        answer = register(admin)
        assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")

    def test_on_the_local_engine_folders_are_named_by_administrators(self, alice: Client) -> None:
        answer = register(alice)
        assert answer.status_code == 403
        assert "kpl image build" in answer.json()["message"]

    def test_passwords_of_registries_are_stored_encrypted_and_never_shown(
        self, admin: Client, context: Context, engine: FakeEngine
    ) -> None:
        register(admin, credentials={"username": "ada", "password": "open sesame"})
        look_at_catalog(context)
        assert engine.logins["/env/mine"] == RegistryLogin(username="ada", password="open sesame")
        assert "sesame" not in admin.get("images/mine").text
        with context.database.store(reads_only=True) as store:
            (row,) = [one for one in store.images.find() if one.name == "mine"]
        assert "sesame" not in str(row)

    def test_one_s_own_can_be_changed_taken_offline_and_deleted(
        self, admin: Client, context: Context
    ) -> None:
        register(admin, title="Mine", description="old")
        look_at_catalog(context)
        changed = admin.patch("images/mine", json={"description": "new", "online": False}).json()
        assert (changed["title"], changed["description"]) == ("Mine", "new")
        assert changed["state"] == "offline"
        assert admin.patch("images/mine", json={"online": True}).json()["state"] == "ready"
        assert admin.delete("images/mine").status_code == 204
        assert admin.get("images/mine").status_code == 404

    def test_what_could_not_be_had_is_looked_at_again_when_asked(
        self, admin: Client, context: Context, engine: FakeEngine
    ) -> None:
        engine.catalog["/env/mine"] = MISSING
        register(admin)
        look_at_catalog(context)
        engine.catalog["/env/mine"] = TORCH
        look_at_catalog(context)
        assert admin.get("images/mine").json()["state"] == "failed"
        again = admin.post("images/mine/look").json()
        assert (again["state"], again["reason"]) == ("preparing", None)
        look_at_catalog(context)
        assert admin.get("images/mine").json()["state"] == "ready"

    def test_its_framework_s_version_is_shown_with_its_sign(
        self, admin: Client, context: Context, engine: FakeEngine
    ) -> None:
        engine.catalog["/env/mine"] = TORCH
        register(admin, framework="Torch", icon="🔥")
        look_at_catalog(context)
        found = admin.get("images/mine").json()
        assert found["versions"] == {"python": "3.12.1", "torch": "2.7.0"}
        assert found["icon"] == "🔥"


class TestWhoSeesWhat:
    @pytest.fixture
    def carol(self, hub: Hub, login: Login) -> Client:
        """A user in the group `vision`."""
        client = login("carol")
        hub.users[client.headers["Authorization"].removeprefix("token ")]["groups"] = ["vision"]
        return client

    def test_private_ones_are_their_owner_s(
        self, admin: Client, alice: Client, context: Context
    ) -> None:
        register(admin)
        assert names(alice) == ["base"]
        assert alice.get("images/mine").status_code == 404
        admin.patch("images/mine", json={"visibility": "public"})
        assert names(alice) == ["base", "mine"]
        assert alice.delete("images/mine").status_code == 403

    def test_groups_restrict_what_is_public(
        self, admin: Client, alice: Client, carol: Client
    ) -> None:
        register(admin, visibility="public", groups=["vision"])
        assert names(alice) == ["base"]
        assert names(carol) == ["base", "mine"]

    def test_presets_are_made_by_administrators(self, admin: Client, hub: Hub) -> None:
        assert register(admin, visibility="preset").status_code == 201

    def test_who_keeps_the_catalog_sees_and_changes_all_images(
        self, alice: Client, login: Login, context: Context, engine: FakeEngine
    ) -> None:
        keeper = login("root", scopes.SELF, scopes.CATALOG)
        theirs = login("dora", scopes.ADMIN)
        register(theirs)
        look_at_catalog(context)
        assert keeper.get("me").json()["admin"] is False
        assert names(keeper) == ["base", "mine"]
        changed = keeper.patch("images/mine", json={"visibility": "preset", "groups": ["any"]})
        assert changed.json()["visibility"] == "preset"
        assert keeper.post("images/base/look").status_code == 200
        assert alice.post("images/base/look").status_code == 403
        assert keeper.delete("images/mine").status_code == 204

    def test_who_keeps_the_catalog_hears_of_every_image(
        self, login: Login, context: Context, engine: FakeEngine
    ) -> None:
        register(login("dora", scopes.ADMIN))
        with context.database.store(reads_only=True) as store:
            for granted, hears in ((scopes.CATALOG, True), (scopes.SELF, False)):
                may = scopes.expand(frozenset({granted}))
                reader = Caller(name="eve", kind="user", scopes=may).reader
                heard = store.events.after(0, reader, resources=("images",))
                assert ("created" in [e.kind for e in heard if e.owner == "dora"]) is hears

    def test_reading_alone_does_not_allow_to_register(self, login: Login) -> None:
        reader = login("dora", scopes.scope("images", "read"))
        assert names(reader) == ["base"]
        assert register(reader).status_code == 403


class TestServers:
    async def refused(self, site: Site, **body: Any) -> Any:
        resources = {"cpu": 1, "memory": 512, "gpu": 0, "shm": 64, **body.pop("resources", {})}
        wanted = {"user": "alice", "name": "", "image": "torch", "resources": resources, **body}
        answer = await site.internal().http.post("internal/servers", json=wanted)
        assert answer.status_code == 422, answer.text
        return answer.json()

    async def test_an_image_bounds_what_a_server_gets(
        self, file: Path, site: Site, engine: FakeEngine
    ) -> None:
        found = await self.refused(site, resources={"memory": 8192})
        assert found["code"] == "above_maximum"
        assert "at most 4096 MiB (memory), not 8192" in found["message"]

    async def test_without_jupyterlab_no_server_starts_from_it(
        self, file: Path, site: Site, engine: FakeEngine
    ) -> None:
        engine.catalog["/env/torch"] = ImageFacts(packages={"python": "3.12.1", "torch": "2.7.0"})
        await asyncio.to_thread(look_at_catalog, site.context)
        assert (await site.user("alice").get("images/torch"))["serves_notebooks"] is False
        found = await self.refused(site)
        assert found["code"] == "no_jupyter"

    async def test_its_variables_are_set_in_servers(
        self, file: Path, site: Site, engine: FakeEngine
    ) -> None:
        resources = {"cpu": 1, "memory": 512, "gpu": 0, "shm": 64}
        hub = site.internal()
        body = {"user": "alice", "name": "", "image": "torch", "resources": resources}
        id = (await hub.post("internal/servers", body))["id"]
        await hub.post(f"internal/servers/{id}/start", {"command": ["x"], "environment": {}})
        await hub.until(f"internal/servers/{id}", "running")
        workload = site.workload(f"server-{id}")
        assert workload.image == "/env/torch"
        assert workload.environment["OMP_NUM_THREADS"] == "2"

    async def test_an_image_of_others_is_unknown(self, site: Site) -> None:
        found = await self.refused(site, image="theirs")
        assert (found["code"], "base" in found["message"]) == ("unknown_image", True)


class TestFromTheRegistry:
    """On engines with a registry, what the catalog does not know is asked for there."""

    @pytest.fixture
    def on_docker(self, context: Context) -> Context:
        return replace(context, settings=replace(context.settings, engine="docker"))

    @pytest.fixture
    def ordered(self, on_docker: Context) -> Callable[[str], Ordered]:
        def order(wanted: str) -> Ordered:
            text = f"version: 1\nimage: {{from_image: '{wanted}'}}\ntrain: {{cmd: x}}\n"
            with on_docker.database.store() as store:
                workspace = access.workspace_id(store, "default")
                alice = Reader(name="alice")
                return builds.order(store, on_docker, alice, workspace, parse_environment(text))

        return order

    def test_what_nobody_has_registered_is_taken_as_it_is(
        self, ordered: Callable[[str], Ordered]
    ) -> None:
        assert ordered("registry.example/team/thing:2").base == "registry.example/team/thing:2"
        assert ordered("python:3.11").base != "python:3.11"  # an alias of the base

    @pytest.mark.parametrize(
        "wanted",
        [
            *("a b", "3f6", "3f62fd645cbf", "docker.io/library/3f62fd645cbf"),
            *(f"sha256:{'0' * 64}", "kpl-environment/39dc59a2:abc"),
            "docker.io/kpl-environment/39dc59a2:abc",
            "index.docker.io/kpl-environment/39dc59a2:abc",
        ],
    )
    def test_what_only_the_daemon_knows_is_nobody_s_to_name(
        self, ordered: Callable[[str], Ordered], wanted: str
    ) -> None:
        with pytest.raises(Invalid) as caught:
            ordered(wanted)
        assert caught.value.code == "unknown_image"

    @pytest.mark.parametrize("tag", [":1", ":2", "", f"@sha256:{'0' * 64}"])
    def test_what_was_pulled_with_somebody_s_password_is_theirs(
        self, on_docker: Context, ordered: Callable[[str], Ordered], tag: str
    ) -> None:
        team = "registry.example:5000/team"
        bob = Caller(name="bob", kind="user")
        login = Credentials(username="ada", password="p")
        wanted = ImageCreate(name="secret", reference=f"{team}/secret:1", credentials=login)
        with on_docker.database.store() as store:
            image_changes.register(store, on_docker, bob, wanted)
        with pytest.raises(Invalid, match="neither an image of the catalog"):
            ordered(f"{team}/secret{tag}")
        assert ordered(f"{team}/other{tag}").base == f"{team}/other{tag}"


async def test_what_runs_from_a_private_image_is_pulled_with_its_login(site: Site) -> None:
    admin = site.user("root", scopes.ADMIN)
    login = {"username": "ann", "password": "open sesame"}
    made = await admin.post(
        "images", {"name": "private", "reference": "/env/private", "credentials": login}
    )
    await admin.until(f"images/{made['id']}", "ready")
    site.engine.script = Script(run_seconds=None)
    files = {
        **CODE,
        "environment.yml": str(CODE["environment.yml"]).replace("python:3.11", "private"),
    }
    task = await admin.submit(files)
    await admin.until(f"tasks/{task['id']}", "running")
    (workload,) = [one for one in site.engine.workloads.values() if one.kind is Kind.TASK]
    assert workload.image == "/env/private"
    assert workload.login is not None and workload.login.password == "open sesame"
