"""A cluster in memory whose nodes find no image: the double of an API server in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from kpl_lab.engines.kubernetes.names import COMMAND_CONTAINER, KIND
from tests.doubles import kubernetes_play as play
from tests.doubles.kubernetes import Server, api_server
from tests.doubles.kubernetes_store import Json

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": play.NODE},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "100"},
    },
}
# What the engine calls a pod that only tells what is in an image.
_LOOK = "look"
_PACKAGES = '{"python": "3.11.2", "jupyterlab": "4.6.4", "kpl-lab": "0.1.0"}\n'


def image_of(pod: Json) -> str:
    """Return the image of a pod's command."""
    (command,) = [one for one in pod["spec"]["containers"] if one["name"] == COMMAND_CONTAINER]
    return str(command["image"])


# What containerd says of an image: that its registry is away, and that this has none such.
AWAY = "dial tcp: lookup registry.example: i/o timeout"
ABSENT = "{image}: not found"


@dataclass
class Nodes:
    """The cluster; each image that is looked into is there, and is gone when something is to start of it.

    Attributes
    ----------
    answer
        What nodes hear when they ask for an image; changed by tests.
    """

    server: Server
    answer: str = AWAY

    def go(self) -> None:
        """Be the kubelets of all nodes for a moment."""
        for pod in self.server.store.all("Pod"):
            if pod["metadata"]["labels"].get(KIND) != _LOOK:
                self._refuse(pod)
            elif "nodeName" not in pod["spec"]:
                self._tell(pod)

    def _tell(self, pod: Json) -> None:
        play.place(self.server.store, pod)
        log = self.server.logs.of(pod["metadata"]["name"], COMMAND_CONTAINER)
        log.write(_PACKAGES)
        log.end()
        play.end(self.server.store, pod)

    def _refuse(self, pod: Json) -> None:
        image = image_of(pod)
        unread = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}"'
        said = f"rpc error: code = Unknown desc = {unread}: {self.answer.format(image=image)}"
        if said not in str(pod.get("status")):
            play.place(self.server.store, pod)
            play.wait(self.server.store, pod, "ErrImagePull", said)


@contextlib.contextmanager
def without_images(kubeconfig: Path) -> Iterator[Nodes]:
    """Run such a cluster; the way to it is written down."""
    begun: Queue[Nodes] = Queue()
    over = threading.Event()

    async def live() -> None:
        async with api_server() as server, play.playing(server.store):
            server.store.create(NODE)
            server.kubeconfig(kubeconfig)
            nodes = Nodes(server)
            begun.put(nodes)
            while not over.is_set():
                nodes.go()
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    try:
        yield begun.get(timeout=30)
    finally:
        over.set()
        thread.join()
