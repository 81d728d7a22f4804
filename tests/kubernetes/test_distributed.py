"""PyTorch's processes find each other over two pods.

``KPL_TORCH_IMAGE``  an image with PyTorch on the nodes; else ``pytorch-cpu`` beside ``KPL_IMAGE``, where that is there
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from kpl_lab.engines.spec import Cause
from kpl_lab.platform.domain import distributed
from tests.engines.harness import end_of, limits, start, task, text_of
from tests.kubernetes.harness import KubernetesBench, why_not
from tests.kubernetes.probes import image_lack, sibling

TORCH_IMAGE = os.environ.get("KPL_TORCH_IMAGE", "")
pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]
ALL_REDUCE = """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
rank = dist.get_rank()
total = torch.tensor([float(rank + 1)])
dist.all_reduce(total)
node = os.environ["NODE_RANK"]
print(f"rank {rank} of {dist.get_world_size()} on node {node}: {total.item():g}")
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def torch_image() -> str:
    """An image with PyTorch."""
    if reason := why_not():
        pytest.skip(reason)
    image = TORCH_IMAGE or sibling("pytorch-cpu")
    how = 'make it by `make images IMAGES="base pytorch-cpu"` and bring it to the nodes beside KPL_IMAGE, or name one by KPL_TORCH_IMAGE'
    if not image:
        pytest.skip(f"KPL_IMAGE is no .../base beside which pytorch-cpu would be: {how}")
    # Importing it takes a while; so does pulling it, where that is allowed.
    why = image_lack(image, "python3", "-c", "import torch.distributed", seconds=240)
    if why and TORCH_IMAGE:
        pytest.fail(f"KPL_TORCH_IMAGE, {image}, does not run PyTorch: {why}")
    if why:
        pytest.skip(f"no pod runs {image} ({why}): {how}")
    return image


@pytest.mark.parametrize(
    ("launch", "command"), [("process", "python main.py"), ("node", "torchrun main.py")]
)
async def test_gloo_reduces_over_two_pods(
    torch_image: str,
    bench: KubernetesBench,
    launch: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.engines.harness.PATIENCE_SECONDS", 300.0)
    given = {
        "VC_WORKER_HOSTS": "{{hosts}}", "NODE_RANK": "{{replica}}", "MASTER_PORT": "{{meeting}}",
        "NNODES": "2", "NPROC_PER_NODE": "2", "WORLD_SIZE": "4", "KPL_LAUNCH": launch,
    }  # fmt: skip
    workload = replace(
        task("t", ""), image=torch_image, command=distributed.command(command), replicas=2,
        code=str(bench.folder("code", {"main.py": ALL_REDUCE})), environment=given,
        templates=("VC_WORKER_HOSTS", "NODE_RANK", "MASTER_PORT"), meeting_ports=5,
        limits=limits(cpu=0.5, memory_mb=1024),
    )  # fmt: skip
    handle = await start(bench.engine, workload)
    for node in (0, 1):
        end = await end_of(bench.engine, "t", node)
        log = await text_of(bench.engine, handle, replica=node)
        assert (end.cause, end.exit_code) == (Cause.EXIT, 0), log
        for rank in (2 * node, 2 * node + 1):
            assert f"rank {rank} of 4 on node {node}: 10" in log
