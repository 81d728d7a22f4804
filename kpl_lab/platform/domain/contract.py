"""The variables of a task, a service and a notebook (runtime contract, section 3), in one place.

Values hold the placeholders of ``kpl_lab.engines.spec``: only the engine knows where things are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOKEN_FILE = "token"  # noqa: S105 (a file name)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the variables say.

    ``absent_inputs`` are optional inputs that were not given; ``api_url`` is the base for clients'
    calls: the relay beside a task, the platform itself for services and notebooks.
    """

    kind: str
    id: int
    token: str
    api_url: str
    metric_token: str
    parameters: Mapping[str, Any]
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    absent_inputs: Sequence[str] = ()
    gpus: int = 0
    code_limit_mb: int = 50


# The variables below that hold placeholders of the engine. All others arrive as they are: users
# have a say in them, and what looks like a placeholder there is none.
TEMPLATES = (
    "KPL_ENV_INPUT_ROOT_PATH",
    "KPL_ENV_OUTPUT_ROOT_PATH",
    "KPL_ENV_INTERNAL_API_HOST",
    "KPL_BACKEND_HOST",
    "KPL_TOKEN_LOCATE",
    "KPL_INPUT_ROOT",
    "KPL_OUTPUT_ROOT",
    "KPL_METRIC_API",
)
SINGLE_NODE_TEMPLATES = ("MA_JOB_DIR",)


def variables(facts: Facts) -> dict[str, str]:
    """Return all variables of the contract, the older clients' names too."""
    parameters = json.dumps(facts.parameters, ensure_ascii=False)
    return {
        "KPL_INNER": "1",
        "KPL_ENV": facts.kind,
        "KPL_ENV_INPUT_ROOT_PATH": "{{inputs}}",
        "KPL_ENV_OUTPUT_ROOT_PATH": "{{outputs}}",
        "KPL_ENV_PARAMETER": parameters,
        "KPL_ENV_TASK_ID": str(facts.id),
        "KPL_ENV_INTERNAL_API_HOST": facts.api_url,
        "KPL_BACKEND_HOST": facts.api_url,
        "KPL_ENV_OPTIONAL_INPUTS": json.dumps(list(facts.absent_inputs), ensure_ascii=False),
        "KPL_ENV_CODE_LIMIT_MB": str(facts.code_limit_mb),
        "KPL_TOKEN_LOCATE": "{{secrets}}/" + TOKEN_FILE,
        "KPL_TOKEN": facts.token,
        # Names of kpl-helper 0.0.2 to 0.1.2.
        "KPL_INPUT_ROOT": "{{inputs}}",
        "KPL_INPUT_KEYS": json.dumps(list(facts.inputs), ensure_ascii=False),
        "KPL_OUTPUT_ROOT": "{{outputs}}",
        "KPL_OUTPUT_KEYS": json.dumps(list(facts.outputs), ensure_ascii=False),
        "KPL_PARAMETER": parameters,
        "KPL_METRIC_API": facts.api_url,
        "KPL_METRIC_TOKEN": facts.metric_token,
    }


def single_node(gpus: int) -> dict[str, str]:
    """Return the facts of a task on one node, under ModelArts' and PyTorch's names."""
    return {
        "VC_WORKER_HOSTS": "127.0.0.1",
        "VC_TASK_INDEX": "0",
        "MA_NUM_HOSTS": "1",
        "MA_NUM_GPUS": str(gpus),
        "MA_JOB_DIR": "{{work}}",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
        "WORLD_SIZE": "1",
        "RANK": "0",
        "LOCAL_RANK": "0",
        "NNODES": "1",
        "NODE_RANK": "0",
        "NPROC_PER_NODE": "1",
    }
