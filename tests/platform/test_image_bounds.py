"""What a server begins with stays below the most that its image may be given."""

from httpx import Client

MOST = {"cpu": 0.5, "memory": 2048, "gpu": 0, "shm": 64}
MINE = {"name": "mine", "reference": "/env/mine", "max_resources": MOST}


def test_a_new_image_cannot_begin_with_more_than_its_maximum(admin: Client) -> None:
    refused = admin.post("images", json=MINE)
    assert (refused.status_code, refused.json()["code"]) == (422, "above_maximum")
    assert "1 cpu, at most 0.5" in refused.json()["message"]
    assert admin.post("images", json={**MINE, "default_resources": MOST}).status_code == 201


def test_neither_default_nor_maximum_can_be_moved_past_the_other(admin: Client) -> None:
    admin.post("images", json={**MINE, "default_resources": MOST})
    for change in (
        {"default_resources": {**MOST, "cpu": 2}},
        {"max_resources": {**MOST, "memory": 1024}},
    ):
        refused = admin.patch("images/mine", json=change)
        assert (refused.status_code, refused.json()["code"]) == (422, "above_maximum")
    raised = {**MOST, "cpu": 2}
    both = {"default_resources": raised, "max_resources": raised}
    assert admin.patch("images/mine", json=both).status_code == 200
