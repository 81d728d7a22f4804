"""The start page as HTML."""

import datetime as dt
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from kpl_lab.hub import start_page
from kpl_lab.hub.options import Choice
from kpl_lab.hub.platform_client import Person, PlatformClient
from kpl_lab.hub.start_page import Scene
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.images import ImageView
from kpl_lab.schemas.pools import Amount, PoolView
from kpl_lab.schemas.servers import CapacityView

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def image(name: str, **changes: Any) -> ImageView:
    values = {
        "id": 1,
        "name": name,
        "state": "ready",
        "created_at": NOW,
        "updated_at": NOW,
        "owner": "kpl-lab",
        "workspace": "default",
        "visibility": "preset",
        "source": "file",
        "reference": "/env",
        "title": name.title(),
        "description": "",
        "framework": "scikit-learn",
        "versions": {"python": "3.11"},
        "accelerator": "cpu",
        "default_resources": Resources(cpu=1, memory=2048),
    }
    return ImageView.model_validate(values | changes)


def capacity(gpus: int = 0, memory: int = 24000) -> CapacityView:
    return CapacityView(
        cpu=Amount(limit=8, used=0),
        cores=2,
        memory=Amount(limit=memory, used=0),
        gpu=Amount(limit=gpus, used=0),
        queued_tasks=0,
        running_tasks=0,
        storage_free_bytes=1,
    )


def scene(**changes: Any) -> Scene:
    values: dict[str, Any] = {
        "user": "alice",
        "server_name": "",
        "choice": Choice(),
        "images": [image("base", default=True), image("torch")],
        "capacity": capacity(),
    }
    return Scene(**(values | changes))


class Inputs(HTMLParser):
    """Collects the form's inputs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "input":
            self.found.append(dict(attrs))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [field for field in self.found if field.get("name") == name]


def test_a_first_visit_offers_the_default_image_and_its_limits() -> None:
    form = Inputs(start_page.render(scene()))
    assert [f["value"] for f in form.named("image") if "checked" in f] == ["base"]
    assert form.named("memory")[0]["value"] == "2048"


def test_the_last_choice_is_there_again() -> None:
    form = Inputs(start_page.render(scene(choice=Choice(image="torch", cpu=2, memory=4096))))
    assert [f["value"] for f in form.named("image") if "checked" in f] == ["torch"]
    assert (form.named("cpu")[0]["value"], form.named("memory")[0]["value"]) == ("2", "4096")


def test_each_limit_has_a_place_for_what_is_wrong_with_it() -> None:
    html = start_page.render(scene())
    for name in ("cpu", "memory", "gpu", "shm"):
        [field] = Inputs(html).named(name)
        of_bound, of_mistake = field["aria-describedby"].split()
        assert f'id="{of_bound}"' in html
        assert f'id="{of_mistake}" role="alert"' in html


def test_a_limit_ends_at_what_the_machine_has() -> None:
    form = Inputs(start_page.render(scene(capacity=capacity(gpus=2, memory=3000))))
    most = [form.named(name)[0]["max"] for name in ("cpu", "memory", "gpu")]
    assert most == ["8", "3000", "2"]


def bounded(**changes: Any) -> ImageView:
    """An image that may be given two cores and 4 GiB, and no GPU."""
    most = Resources(cpu=2, memory=4096, gpu=0, shm=512)
    return image("base", title="Small work", max_resources=most, **changes)


def test_a_limit_ends_at_what_the_image_may_be_given_and_says_so() -> None:
    html = start_page.render(scene(images=[bounded()], capacity=capacity(gpus=2)))
    form = Inputs(html)
    most = {name: form.named(name)[0]["max"] for name in ("cpu", "memory", "gpu", "shm")}
    assert most == {"cpu": "2", "memory": "4096", "gpu": "0", "shm": "512"}
    assert "Small work is given at most 4 GiB." in html
    assert "At most 2 CPU, 4 GiB, 0 GPU." in html


def test_a_machine_that_has_less_than_the_image_may_be_given_sets_the_limit() -> None:
    html = start_page.render(scene(images=[bounded()], capacity=capacity(memory=3072)))
    assert Inputs(html).named("memory")[0]["max"] == "3072"
    assert "The machine has 3 GiB in all." in html


def test_another_image_s_maximum_does_not_stand_in_the_way_without_a_script() -> None:
    html = start_page.render(scene(images=[bounded(default=True), image("torch")]))
    form = Inputs(html)
    assert form.named("cpu")[0]["max"] == "8"
    assert [(f["data-most-cpu"]) for f in form.named("image") if "data-most-cpu" in f] == ["2"]
    assert not any("disabled" in f for f in form.named("preset"))


def test_a_preset_above_the_maximum_cannot_be_chosen_and_says_why() -> None:
    html = start_page.render(scene(images=[bounded()]))
    disabled = [f for f in Inputs(html).named("preset") if "disabled" in f]
    assert [f["data-cpu"] for f in disabled] == ["4"]
    reason = html.partition(f'id="{disabled[0]["aria-describedby"]}"')[2].partition("</span>")[0]
    assert "Small work is given at most 2 CPU." in reason


def test_an_image_s_own_limits_are_there_at_a_first_visit() -> None:
    own = Resources(cpu=0.5, memory=1500, gpu=0, shm=128)
    html = start_page.render(scene(images=[bounded(default_resources=own)]))
    form = Inputs(html)
    first = {name: form.named(name)[0]["value"] for name in ("cpu", "memory", "gpu", "shm")}
    assert first == {"cpu": "0.5", "memory": "1500", "gpu": "0", "shm": "128"}
    assert 'data-own="false"' in html


def test_a_last_choice_above_what_can_be_had_is_lowered_and_told() -> None:
    html = start_page.render(scene(images=[bounded()], choice=Choice(image="base", cpu=4)))
    assert Inputs(html).named("cpu")[0]["value"] == "2"
    assert "CPU cores lowered from 4 to 2: that is the most here." in html
    assert 'data-own="true"' in html


def test_an_image_for_gpus_without_one_is_warned_of_before_any_script_runs() -> None:
    for_gpus = image("cuda", accelerator="gpu", default_resources=Resources(gpu=1))
    words = "This environment is made for a GPU, and none is chosen"
    assert words in start_page.render(scene(images=[for_gpus]))
    assert words not in start_page.render(scene(images=[for_gpus], capacity=capacity(gpus=1)))


def test_images_can_be_narrowed_down_where_there_is_a_difference() -> None:
    alike = start_page.render(scene())
    assert "kpl-Chip" not in alike
    different = [image("base"), image("cuda", accelerator="gpu", framework="PyTorch")]
    html = start_page.render(scene(images=different))
    for word in ("CPU", "GPU", "PyTorch", "scikit-learn"):
        assert f'data-chip="{word}"' in html


def test_a_card_has_the_sign_that_its_image_was_given_or_a_letter() -> None:
    html = start_page.render(scene(images=[image("base", icon="火"), image("torch")]))
    signs = [part.partition("<")[0] for part in html.split('aria-hidden="true">')[1:]]
    assert signs[:2] == ["火", "S"]


def test_a_card_leads_to_its_documentation_and_names_whoever_made_it() -> None:
    of_bob = image("bobs", owner="bob", documentation="https://example.org/bobs")
    html = start_page.render(scene(images=[of_bob]))
    assert 'href="https://example.org/bobs"' in html
    assert "Made by bob." in html


def pooled(quota: float | None = None) -> CapacityView:
    """A machine of eight cores with two pools, in the first of which alice may hold some."""
    pools = []
    for name, most in (("shared", 8), ("vision", 4)):
        amounts = {kind: Amount(limit=most, used=1) for kind in ("cpu", "memory", "gpu")}
        own = {} if quota is None or name == "vision" else {"cpu": Amount(limit=quota, used=0.5)}
        facts = {
            "name": name,
            "title": name.title(),
            "description": "",
            "dedicated": name != "shared",
        }
        pools.append(PoolView(**facts, **amounts, quota=own))
    return capacity(gpus=2).model_copy(update={"pools": pools})


def test_a_pool_can_be_chosen_where_there_are_several() -> None:
    form = Inputs(start_page.render(scene(capacity=pooled())))
    assert [f["value"] for f in form.named("pool")] == ["shared", "vision"]
    assert [f["value"] for f in form.named("pool") if "checked" in f] == ["shared"]
    again = Inputs(start_page.render(scene(capacity=pooled(), choice=Choice(pool="vision"))))
    assert [f["value"] for f in again.named("pool") if "checked" in f] == ["vision"]
    assert Inputs(start_page.render(scene())).named("pool") == []


def test_what_is_free_is_the_least_of_machine_pool_and_quota() -> None:
    html = start_page.render(scene(capacity=pooled(quota=3)))
    assert 'data-kind="cpu" data-limit="3.0" data-used="0.5"' in html
    chosen = scene(capacity=pooled(quota=3), choice=Choice(pool="vision"))
    assert 'data-kind="cpu" data-limit="4.0" data-used="1.0"' in start_page.render(chosen)


def test_how_cpu_is_shared_is_said_with_numbers() -> None:
    html = start_page.render(scene())
    assert "CPU is shared: 8 are given out, the machine has 2;" in html


def test_nothing_is_said_of_sharing_where_each_core_is_given_out_once() -> None:
    alone = capacity().model_copy(update={"cores": 8.0})
    assert "CPU is shared" not in start_page.render(scene(capacity=alone))


def test_an_image_that_is_gone_is_not_chosen_again() -> None:
    form = Inputs(start_page.render(scene(choice=Choice(image="gone"))))
    assert [f["value"] for f in form.named("image") if "checked" in f] == ["base"]


def test_an_image_that_cannot_start_cannot_be_chosen() -> None:
    images = [image("base", state="failed", message="Its environment is missing.")]
    html = start_page.render(scene(images=images))
    assert "disabled" in Inputs(html).named("image")[0]
    assert "Its environment is missing." in html


def test_what_users_write_is_text() -> None:
    evil = "<script>alert(1)</script>"
    html = start_page.render(scene(images=[image("base", title=evil, description=evil)]))
    assert "<script" not in html


def test_a_gpu_preset_is_offered_where_there_is_a_gpu() -> None:
    assert "gpu" not in [p.name for p in start_page.presets(capacity())]
    assert "gpu" in [p.name for p in start_page.presets(capacity(gpus=1))]


def test_no_preset_is_larger_than_the_machine() -> None:
    assert all(p.resources.memory <= 3000 for p in start_page.presets(capacity(memory=3000)))


def test_how_the_last_server_ended_is_said() -> None:
    html = start_page.render(scene(ended="Out of memory: used 2.0 of 2 GiB. Start with more."))
    assert "Out of memory: used 2.0 of 2 GiB." in html


async def test_a_dead_platform_leaves_a_page_that_says_so() -> None:
    client = PlatformClient("http://127.0.0.1:9/kpl/api/v1", "token")
    found = await start_page.collect(client, Person("alice"), "", {"image": "base", "junk": 1})
    assert "does not answer" in start_page.render(found)
    assert found.choice.image == "base"


def dataset(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "name": name,
        "state": "ready",
        "created_at": NOW.isoformat(),
        "updated_at": NOW.isoformat(),
        "owner": "alice",
        "workspace": "default",
        "visibility": "private",
        "description": "",
        "purpose": "other",
        "version": 2,
        "records": 3,
        "bytes": 10,
        "format": "kpl",
        **changes,
    }


def server(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "name": "",
        "user": "alice",
        "image": "base",
        "state": "stopped",
        "created_at": NOW.isoformat(),
        "resources": {"cpu": 1, "memory": 2048},
        "mounts": [],
        "url": "/user/alice/",
        **changes,
    }


def platform(**lists: list[dict[str, Any]]) -> PlatformClient:
    """A platform that has these things, and nothing else."""

    def answer(request: httpx.Request) -> httpx.Response:
        noun = request.url.path.rpartition("/")[2]
        return httpx.Response(200, json={"items": lists.get(noun, []), "next": None})

    return PlatformClient("http://x", "token", transport=httpx.MockTransport(answer))


async def test_datasets_of_the_last_server_are_chosen_again() -> None:
    has = platform(
        datasets=[dataset("fruit"), dataset("digits"), dataset("letters")],
        servers=[
            server(name="second", wanted_mounts=["letters"]),
            server(wanted_mounts=["digits", "fruit:1", "gone"]),
            server(wanted_mounts=["letters"]),
        ],
    )
    # What was chosen on this page at the start matters no more: the server has run since.
    found = await start_page.collect(has, Person("alice"), "", {"mounts": ["letters"]})
    boxes = Inputs(start_page.render(found)).named("mounts")
    assert [(box["value"], "checked" in box) for box in boxes] == [
        ("fruit:1", True),
        ("digits", True),
        ("letters", False),
    ]


async def test_running_servers_can_be_opened_and_stopped() -> None:
    has = platform(
        servers=[
            server(name="second", state="running", url="/user/alice/second/"),
            server(name="third", state="stopping"),
            server(user="bob", state="running", url="/user/bob/"),
        ]
    )
    html = start_page.render(await start_page.collect(has, Person("alice"), "", {}))
    assert 'href="/user/alice/second/"' in html
    assert html.count("data-stop ") == 1
    assert "/user/bob/" not in html


@pytest.mark.parametrize(("visibility", "is_shown"), [("private", False), ("public", True)])
async def test_private_datasets_of_others_are_not_shown(visibility: str, is_shown: bool) -> None:
    has = platform(datasets=[dataset("fruit", owner="bob", visibility=visibility)])
    found = await start_page.collect(has, Person("alice"), "", {})
    assert bool(found.datasets) is is_shown


async def test_images_are_those_that_one_may_use_and_a_server_can_start_from() -> None:
    has = platform(
        images=[
            image("base", default=True).model_dump(mode="json"),
            image("restricted", groups=["vision"]).model_dump(mode="json"),
            image("bobs", owner="bob", visibility="private").model_dump(mode="json"),
            image("bare", serves_notebooks=False).model_dump(mode="json"),
            image("mine", owner="alice", visibility="private").model_dump(mode="json"),
        ]
    )

    async def names(person: Person) -> list[str]:
        return [one.name for one in (await start_page.collect(has, person, "", {})).images]

    assert await names(Person("alice")) == ["base", "mine"]
    assert await names(Person("carol", frozenset({"vision"}))) == ["base", "restricted"]
    assert "bobs" in await names(Person("root", is_admin=True))
