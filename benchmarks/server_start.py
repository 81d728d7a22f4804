"""A notebook server from the request to JupyterLab's page, beside a plain JupyterHub.

Both hubs run the same packages from the same environment, at the same time; they start servers in
turns, and are asked in the same way.
"""

from __future__ import annotations

from statistics import median

from benchmarks._common import Row, emit, run_program, sized
from benchmarks._installation import installation
from benchmarks._plain_hub import Hub, plain_hub

ROUNDS = sized(5, 1)


def start(hub: Hub) -> float:
    """Return the seconds that one start took; the server is stopped afterwards."""
    seconds = hub.start()
    hub.stop()
    return seconds


def main() -> None:
    with plain_hub() as peer, installation() as (_, found):
        ours = Hub(found.url, found.credentials["token"], found.credentials["username"])
        start(peer)  # the first ones are not like those that follow
        start(ours)
        pairs = [(start(ours), start(peer)) for _ in range(ROUNDS)]
    emit(
        Row(
            "notebook server, from the request to JupyterLab's page",
            "plain JupyterHub, simple spawner",
            "s",
            value=median(value for value, _ in pairs),
            peer_value=median(value for _, value in pairs),
            lower_is_better=True,
            goal="≥ 6.7x (≤ 0.15 of its time)",
        )
    )


if __name__ == "__main__":
    run_program(main)
