"""The two containers of a pod: the command, and the agent beside it."""

from __future__ import annotations

import math

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects.environment import agent_variables, variables, words
from kpl_lab.engines.kubernetes.objects.meta import Manifest
from kpl_lab.engines.kubernetes.objects.volumes import agent_mounts, command_mounts
from kpl_lab.engines.kubernetes.plan import BESIDE, CONFIG, CONFIG_FILE, WORK, Plan

AGENT_MODULE = "kpl_lab.engines.kubernetes.agent"
READY_FILE = f"{BESIDE}/ready"
# Big inputs may take so long; then the platform has ended the workload long ago.
AGENT_START_SECONDS = 3600
# The kubelet looks once a second. An agent without inputs is ready long before: this hook, which the
# kubelet waits for, makes its first look find it. One that takes longer is not held up.
_WAIT = f"timeout 1 sh -c 'until test -e {READY_FILE}; do sleep 0.02; done' || true"
# Beside a command that is never repeated the kubelet starts an agent once; this starts it again, also where
# somebody ends all that is called python; not for ever where it ends soon each time.
_AGAIN = (
    "/bin/sh",
    "-c",
    "trap 'asked=1; kill -TERM $agent' TERM\n"
    "runs=0\n"
    "while [ $runs -lt 10 ]; do\n"
    '    begun=$(date +%s); "$@" & agent=$!\n'
    "    wait $agent; code=$?\n"
    '    while [ "$asked" ] && kill -0 $agent 2>/dev/null; do wait $agent; code=$?; done\n'
    '    if [ "$asked" ] || [ $code = 0 ]; then break; fi\n'
    "    if [ $(($(date +%s) - begun)) -ge 60 ]; then runs=0; fi\n"
    "    runs=$((runs + 1))\n"
    "    sleep 1\n"
    '    if [ "$asked" ]; then break; fi\n'
    "done\n"
    "exit $code",
    "agent",
)
_CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
}


def command_container(plan: Plan) -> Manifest:
    """Return the container of what users run."""
    found: Manifest = {
        "name": names.COMMAND_CONTAINER,
        "image": plan.workload.image,
        "imagePullPolicy": plan.shape.pull_policy_of(plan.workload.image, plan.installation),
        "env": variables(plan),
        "workingDir": _working_folder(plan),
        "volumeMounts": command_mounts(plan),
        "resources": _resources(plan),
        "securityContext": dict(_CONFINED),
        "terminationMessagePolicy": "File",
    }
    argv = words(plan)
    if argv:
        found["command"] = argv[:1]
    if argv[1:]:
        found["args"] = argv[1:]
    return found | _served(plan)


def agent_container(plan: Plan) -> Manifest:
    """Return the agent: a sidecar that starts before the command and ends after it, or one beside it."""
    seconds = str(plan.shape.send_seconds)
    arguments = ["--config", f"{CONFIG}/{CONFIG_FILE}", "--send-seconds", seconds]
    words = ["python3", "-m", AGENT_MODULE, *arguments]
    return {
        "name": names.AGENT_CONTAINER,
        "image": plan.shape.base_image,
        "imagePullPolicy": plan.shape.pull_policy,
        "command": [*_AGAIN, *words] if plan.starts_together else words,
        "env": agent_variables(is_together=plan.starts_together),
        "workingDir": "/",
        "volumeMounts": agent_mounts(plan),
        "resources": {
            "limits": {"cpu": "1", "memory": f"{plan.shape.agent_memory_mb}Mi"},
            "requests": {"cpu": "10m", "memory": "32Mi"},
        },
        "securityContext": {**_CONFINED, "readOnlyRootFilesystem": True},
        "terminationMessagePolicy": "File",
        **({} if plan.starts_together else _before_the_command()),
    }


def _before_the_command() -> Manifest:
    """Return what makes it a sidecar for which the command waits."""
    return {
        "restartPolicy": "Always",
        "lifecycle": {"postStart": {"exec": {"command": ["/bin/sh", "-c", _WAIT]}}},
        "startupProbe": {
            "exec": {"command": ["test", "-e", READY_FILE]},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": AGENT_START_SECONDS,
        },
    }


def _working_folder(plan: Plan) -> str:
    has_code = plan.workload.code is not None or plan.workload.home is None
    return WORK if has_code else plan.inner_home


def _resources(plan: Plan) -> Manifest:
    """Return what it reserves and may take: memory whole, cores in part, GPUs as the nodes name them."""
    limits = plan.workload.limits
    cpu = max(1, round(limits.cpu * 1000))
    reserved = max(1, math.ceil(cpu * plan.shape.cpu_request_share / 100))
    whole = {"memory": f"{limits.memory_mb}Mi"}
    if limits.gpu > 0:
        whole[plan.shape.gpu_resource] = str(limits.gpu)
    return {
        "limits": {"cpu": f"{cpu}m", **whole},
        "requests": {"cpu": f"{reserved}m", **whole},
    }


def _served(plan: Plan) -> Manifest:
    """Return the port and how it is looked at; the agent judges, this steers the Service.

    While it starts it is asked each second, so that a Service leads to it about when the agent
    says that it is ready, and not a whole period later.
    """
    if plan.port is None or not plan.serves:
        return {}
    timing = plan.agent["timing"]
    timeout = max(1, math.ceil(timing["health_timeout"]))
    check = {**_check(plan), "timeoutSeconds": timeout}
    start = math.ceil(plan.workload.start_timeout_seconds) + AGENT_START_SECONDS
    return {
        "ports": [{"name": "http", "containerPort": plan.port, "protocol": "TCP"}],
        "startupProbe": {**check, "periodSeconds": 1, "failureThreshold": start},
        "readinessProbe": {
            **check,
            "periodSeconds": max(1, math.ceil(timing["health"])),
            "failureThreshold": max(1, timing["health_failures"]),
        },
    }


def _check(plan: Plan) -> Manifest:
    health = plan.workload.health
    if health is None:
        return {"tcpSocket": {"port": plan.port}}
    path = health if health.startswith("/") else f"/{health}"
    return {"httpGet": {"path": path, "port": plan.port, "scheme": "HTTP"}}
