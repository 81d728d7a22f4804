"""Where the gate is: the machine's address as pods see it, and a port that stays."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.runner import address_of, kept_port, own_address


@pytest.mark.parametrize(
    "api",
    ["https://127.0.0.1:6443", "https://localhost:1", "https://[::1]:6443", "https://192.0.2.7",
     "https://no-such-name.invalid:6443", "https://"],
)  # fmt: skip
def test_our_address_is_never_a_name_nor_the_loopback_where_there_is_a_way_out(api: str) -> None:
    found = ipaddress.ip_address(own_address(api))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
    except OSError:
        return  # a machine without a network has no other
    assert not found.is_loopback


def test_the_gate_listens_where_pods_knock() -> None:
    assert address_of("127.0.0.1") == "127.0.0.1"
    assert address_of("localhost") in ("127.0.0.1", "::1")
    assert address_of("192.0.2.1") == "0.0.0.0"
    assert address_of("no-such-name.invalid") == "0.0.0.0"


def test_the_port_stays(tmp_path: Path) -> None:
    path = tmp_path / "gate.port"
    port = kept_port(path)
    assert 0 < port < 65536
    assert kept_port(path) == port


@pytest.mark.parametrize("text", ["", "no number", "0", "-5", "70000"])
def test_a_broken_note_of_the_port_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.port"
    path.write_text(text)
    port = kept_port(path)
    assert 0 < port < 65536
    assert path.read_text() == str(port)
