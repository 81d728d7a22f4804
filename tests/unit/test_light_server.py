"""A notebook server starts without the hub's half of JupyterHub, and has all of it when it is used."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import httpx
import pytest

from tests.doubles.hub import SCOPES, Hub, running_hub

LEAVE_OUT = "from kpl_lab import jupyter; jupyter.import_for_singleuser()\n"
HEAVY = (
    "alembic",
    "arrow",
    "cryptography",
    "jupyterhub.handlers",
    "jupyterhub.orm",
    "kpl_lab.schemas",
    "pydantic",
    "rich",
    "sqlalchemy",
)
LISTENS = f"""
import gc, sys
sys.argv.append("--allow-root")
from jupyter_server.serverapp import ServerApp
ServerApp.start_ioloop = lambda app: print(*(name for name in {HEAVY!r} if name in sys.modules), gc.isenabled())
jupyter.singleuser()
"""
PROGRAM = "from kpl_lab.jupyter import singleuser; singleuser()"


def says(program: str, **environment: str) -> str:
    """Return what a program prints in a process of its own, once the hub's half is left out."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVE_OUT + program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Server:
    """A real notebook server of alice's, its hub and its log."""

    url: str
    hub: Hub
    log: Path

    def get(self, path: str, token: str = "alices") -> httpx.Response:
        """Return what a path answers whoever has a token."""
        headers = {"Authorization": f"token {token}"}
        return httpx.get(self.url + path, headers=headers, timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/user/alice/"
    log = home / "log"
    with running_hub() as hub, log.open("w") as writes:
        environment = {**os.environ, **hub.variables(url), "HOME": str(home)}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "--allow-root"],
            cwd=home,
            env=environment,
            stdout=writes,
            stderr=writes,
        )
        try:
            wait_for(url + "api", process, log)
            yield Server(url, hub, log)
        finally:
            process.terminate()
            process.wait(20)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when it answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        else:
            return


def test_a_server_that_listens_has_nothing_that_it_does_not_need_yet(tmp_path: Path) -> None:
    with running_hub() as hub:
        environment = hub.variables("http://127.0.0.1:0/user/alice/")
        assert says(LISTENS, HOME=str(tmp_path), **environment) == "True"


def test_jupyterlab_is_imported_without_node_and_asks_it_when_it_builds(tmp_path: Path) -> None:
    node, ran = tmp_path / "node", tmp_path / "ran"
    node.write_text(f"#!/bin/sh\necho x >>{ran}\n")
    node.chmod(0o755)
    program = f"""
from pathlib import Path
import jupyterlab.labapp
print(jupyterlab.labapp.app_version, Path({str(ran)!r}).exists())
jupyterlab.commands.AppOptions().registry
print(Path({str(ran)!r}).exists())
"""
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    version, first, later = says(program, PATH=path).split()
    assert (version, first, later) == (metadata.version("jupyterlab"), "False", "True")


def test_what_answers_the_panels_is_there_when_it_is_asked_for(server: Server) -> None:
    assert server.get("kpl-lab/local/usage").json()["processes"] > 0
    assert httpx.get(server.url + "kpl-lab/local/usage").status_code == 403


def test_a_browser_signs_in_through_the_hub(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=20) as browser:
        sent = browser.get("lab").headers["Location"]
        assert sent.startswith("/hub/api/oauth2/authorize?")
        state = httpx.URL(sent).params["state"]
        back = browser.get("oauth_callback", params={"code": "c0de", "state": state})
        assert back.headers["Location"] == "/user/alice/lab"
        assert "jupyter-config-data" in browser.get("lab").text
    assert "POST /hub/api/oauth2/token" in server.hub.asked


@pytest.mark.parametrize(
    ("scopes", "is_let_in"),
    [
        (["access:servers!server=alice/"], False),
        (["access:servers!user=bob"], False),
        (["access:servers"], True),
        (["access:servers!user=alice", "read:users"], True),
    ],
)
def test_scopes_say_who_is_let_in(server: Server, scopes: list[str], is_let_in: bool) -> None:
    server.hub.scopes = scopes
    token = "-".join(scopes)  # a server remembers for a while what the hub said of one
    answer = server.get("api/contents", token)
    server.hub.scopes = list(SCOPES)
    assert answer.status_code == (200 if is_let_in else 403)


def test_requests_are_logged_and_counted_and_activity_is_told(server: Server) -> None:
    server.get("api/contents?token=secret")
    found = server.get("metrics").text
    written = server.log.read_text()
    assert "200 GET /user/alice/api/contents?token=[secret] (alice@127.0.0.1)" in written
    counted = 'jupyterhub_request_duration_seconds_count{code="200",handler="jupyter_server.'
    assert counted in found
    assert "jupyter_server_active_duration_seconds" in found
    assert "POST /hub/api/users/alice/activity" in server.hub.asked


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sqlalchemy.orm; print(sqlalchemy.select.__name__)", "select"),
        ("from sqlalchemy.exc import SQLAlchemyError as e; print(e.__module__)", "sqlalchemy.exc"),
        ("import alembic; print(alembic.__name__)", "alembic"),
        ("from jupyterhub.orm import User; print(User.__tablename__)", "users"),
        (
            "from jupyterhub import scopes; import sys; print('sqlalchemy' in sys.modules);"
            "from jupyterhub import orm; print(scopes.orm.User is orm.User, scopes.sa.inspect)",
            "False\nTrue <function inspect",
        ),
        ("import jupyterhub.app; print(jupyterhub.app.JupyterHub.name)", "jupyterhub"),
    ],
)
def test_who_uses_the_hubs_half_gets_it(program: str, said: str) -> None:
    assert says(program).startswith(said)


def test_the_log_knows_the_hubs_own_handler_of_health_once_it_is_there() -> None:
    program = """
from jupyterhub import log
asked = log.HealthCheckHandler
print(isinstance(1, int | asked), isinstance("", int | asked))
from jupyterhub.handlers.pages import HealthCheckHandler
print(isinstance(object.__new__(HealthCheckHandler), int | asked), isinstance("", asked))
"""
    assert says(program) == "True False\nTrue False"


def test_errors_of_a_database_are_caught_as_by_the_hub() -> None:
    program = """
import asyncio, logging
from types import SimpleNamespace
from jupyterhub.utils import catch_db_error
from sqlalchemy.exc import OperationalError

@catch_db_error
async def fail(self):
    raise OperationalError("", None, Exception())

db = SimpleNamespace(rollback=lambda: print("rolled back"))
logging.disable()
asyncio.run(fail(SimpleNamespace(log=logging.getLogger(), db=db)))
"""
    assert says(program) == "rolled back"


def test_another_layout_gets_the_real_modules_at_once() -> None:
    program = """
import sys
names = ("sqlalchemy", "sqlalchemy.exc", "jupyterhub.orm")
with jupyter.without_the_hub():
    print(*(sys.modules[name].__spec__ for name in names))
    from sqlalchemy.exc import OperationalError
    import sqlalchemy, jupyterhub.orm
    print(OperationalError.__module__, sqlalchemy.__spec__.name)
    class Thing(jupyterhub.orm.Base):
        __abstract__ = True
print(Thing.metadata is jupyterhub.orm.User.metadata)
"""
    assert says(program) == "None None None\nsqlalchemy.exc sqlalchemy\nTrue"
