"""Who is calling: the hub's tokens with a short memory, and tokens of workloads that end with them."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.errors import Forbidden, Unauthenticated, Unavailable
from kpl_lab.platform import auth, scopes
from kpl_lab.platform.auth import Caller, HubTokens
from kpl_lab.platform.context import Context
from kpl_lab.platform.storage.database import Database
from tests.platform.conftest import INTERNAL, Hub

KEY = "a-key-of-enough-characters-for-hs256"


@pytest.fixture
def tokens(context: Context) -> HubTokens:
    return context.hub_tokens


class TestHubTokens:
    def test_the_hub_is_asked_once_in_a_while(
        self, tokens: HubTokens, hub: Hub, clock: ManualClock
    ) -> None:
        token = hub.add("alice", scopes.SELF)
        assert tokens.caller(token).name == "alice"
        clock.advance(29)
        tokens.caller(token)
        assert hub.questions == 1
        clock.advance(2)
        tokens.caller(token)
        assert hub.questions == 2

    def test_a_token_that_was_revoked_ends_with_the_memory_of_it(
        self, tokens: HubTokens, hub: Hub, clock: ManualClock
    ) -> None:
        token = hub.add("alice", scopes.SELF)
        tokens.caller(token)
        hub.users.clear()
        clock.advance(31)
        with pytest.raises(Unauthenticated, match="wrong or has expired"):
            tokens.caller(token)
        hub.down()
        with pytest.raises(Unavailable):
            tokens.caller(token)

    def test_while_the_hub_is_away_known_callers_go_on_for_a_while(
        self, tokens: HubTokens, hub: Hub, clock: ManualClock
    ) -> None:
        token = hub.add("alice", scopes.SELF)
        tokens.caller(token)
        hub.down()
        clock.advance(290)
        assert tokens.caller(token).name == "alice"
        with pytest.raises(Unavailable, match="try again"):
            tokens.caller("another")
        clock.advance(20)
        with pytest.raises(Unavailable):
            tokens.caller(token)

    @pytest.mark.parametrize("status", [500, 502, 429])
    def test_a_hub_in_trouble_is_not_taken_for_a_wrong_token(
        self, status: int, tokens: HubTokens, hub: Hub
    ) -> None:
        token = hub.add("alice", scopes.SELF)
        hub.status = status
        with pytest.raises(Unavailable):
            tokens.caller(token)

    def test_admin_is_who_has_the_scope_not_whose_user_has_a_flag(
        self, tokens: HubTokens, hub: Hub
    ) -> None:
        narrow = hub.add("root", "custom:kpl:datasets:read")
        hub.users[narrow]["admin"] = True
        assert not tokens.caller(narrow).is_admin
        assert tokens.caller(hub.add("root", scopes.ADMIN)).is_admin

    def test_scopes_include_others_and_lose_their_filters(
        self, tokens: HubTokens, hub: Hub
    ) -> None:
        caller = tokens.caller(hub.add("alice", f"{scopes.SELF}!user=alice", "read:users"))
        assert "custom:kpl:datasets:write" in caller.scopes
        assert scopes.ADMIN not in caller.scopes
        assert scopes.INTERNAL not in caller.scopes

    def test_the_hub_itself_shows_its_secret(self, tokens: HubTokens, hub: Hub) -> None:
        caller = tokens.caller(INTERNAL)
        assert scopes.INTERNAL in caller.scopes
        assert scopes.ADMIN not in caller.scopes
        assert not any(scope.endswith(":write") for scope in caller.scopes)
        assert hub.questions == 0


class TestWorkloadTokens:
    def test_a_token_says_whose_it_is(self, database: Database) -> None:
        with database.store() as store:
            token = auth.issue(store, KEY, "task", 42, "alice")
        with database.store() as store:
            caller = auth.workload_caller(store, KEY, token)
        assert (caller.name, caller.kind, caller.subject_id) == ("alice", "task", 42)
        assert caller.scopes == frozenset()
        assert not caller.reader.sees_all

    def test_two_tokens_of_the_same_moment_differ(self, database: Database) -> None:
        with database.store() as store:
            first = auth.issue(store, KEY, "task", 42, "alice")
            assert auth.issue(store, KEY, "task", 42, "alice") != first

    def test_it_ends_with_its_task_and_that_of_a_server_of_the_same_number_does_not(
        self, database: Database
    ) -> None:
        with database.store() as store:
            task = auth.issue(store, KEY, "task", 42, "alice")
            notebook = auth.issue(store, KEY, "notebook", 42, "alice")
            auth.revoke(store, "task", 42)
        with database.store() as store:
            with pytest.raises(Unauthenticated, match="ended"):
                auth.workload_caller(store, KEY, task)
            assert auth.workload_caller(store, KEY, notebook).kind == "notebook"

    def test_only_its_hash_is_stored(self, database: Database) -> None:
        with database.store() as store:
            token = auth.issue(store, KEY, "task", 1, "alice")
            (row,) = store.tokens.find()
        assert token not in str(row)
        assert row.digest == auth.digest(token)

    def test_forgeries_are_refused(self, database: Database) -> None:
        with database.store() as store:
            token = auth.issue(store, KEY, "task", 1, "alice")
        head, body, signature = token.split(".")
        claims = jwt.decode(token, options={"verify_signature": False})
        unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=")
        forgeries = [
            jwt.encode(claims, "another-key-of-enough-characters-too", algorithm="HS256"),
            jwt.encode({**claims, "sub": "2"}, KEY, algorithm="HS256"),
            f"{unsigned.decode()}.{body}.",
            f"{head}.{body}.{signature[:-2]}AA",
            f"{head}.{body}.",
            "..",
            "a.b.c",
        ]
        with database.store() as store:
            for forged in forgeries:
                with pytest.raises(Unauthenticated):
                    auth.workload_caller(store, KEY, forged)


def test_a_missing_scope_is_named() -> None:
    caller = Caller(name="eve", kind="user")
    with pytest.raises(Forbidden, match="custom:kpl:tasks:write") as caught:
        caller.require("custom:kpl:tasks:write")
    assert caught.value.detail == {"scope": "custom:kpl:tasks:write"}


def test_scopes_are_data_without_loose_ends() -> None:
    for name, entry in scopes.SCOPES.items():
        assert entry.name == name
        assert entry.description
        assert set(entry.includes) <= set(scopes.SCOPES)
    everything = scopes.expand(frozenset({scopes.ADMIN}))
    assert everything == set(scopes.SCOPES) - {scopes.INTERNAL}
    with pytest.raises(ValueError, match="unknown scope"):
        scopes.scope("datasets", "raed")
