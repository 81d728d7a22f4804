"""A service's call, while the front door is being started again."""

from __future__ import annotations

from typing import cast

import httpx
import pytest

from kpl_lab.client import services as module
from kpl_lab.client.services import Services
from kpl_lab.client.transport import Request, Transport

NO_ROUTES = httpx.Response(404, content=b"404 page not found\n")


class Door:
    """A front door that gives these answers, the last one again and again."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.asked = 0

    def exchange(self, request: Request) -> httpx.Response:
        assert request.path == "/svc/default/digits/predict"
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Named:
    url = "/svc/default/digits/"


def call(door: Door, monkeypatch: pytest.MonkeyPatch) -> int:
    services = Services.__new__(Services)
    services._front_door = cast(Transport, door)
    monkeypatch.setattr(services, "get", lambda ref: Named())
    return services.call("digits", Request("POST", "/predict")).status_code


def test_a_front_door_without_routes_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(NO_ROUTES, NO_ROUTES, httpx.Response(200))
    assert call(door, monkeypatch) == 200
    assert door.asked == 3


def test_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROUTES_SECONDS", 0.05)
    assert call(Door(NO_ROUTES), monkeypatch) == 404


def test_what_the_service_does_not_find_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Content-Security-Policy": "sandbox allow-scripts allow-forms"}
    door = Door(httpx.Response(404, content=b"404 page not found\n", headers=headers))
    assert call(door, monkeypatch) == 404
    assert door.asked == 1
