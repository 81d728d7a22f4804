"""What an API server refuses, in words.

The texts are those of real servers: of a 1.36 for most, of 1.29 and later where they differ.
"""

from __future__ import annotations

import pytest

from kpl_lab.engines.kubernetes.words import (
    Call,
    Clash,
    ClusterAway,
    Gone,
    Missing,
    Refused,
    passing,
    refusal,
)

POD = Call("create", "pods", "", "train-0", "lab")
JOB = Call("patch", "jobs", "batch", "train", "lab")
ACCOUNT = "system:serviceaccount:kpl-lab:kpl-lab"

# What it is, status, reason, message; then the code, and what the sentence must say.
Case = tuple[str, int, str, str, str, list[str]]
CASES: list[Case] = [
    (
        "no permission in a namespace",
        403,
        "Forbidden",
        f'jobs.batch "train" is forbidden: User "{ACCOUNT}" cannot patch resource "jobs" in API group "batch" in the namespace "lab"',
        "cluster_forbidden",
        ["patch jobs", "namespace lab", "Role", 'apiGroups: ["batch"]', 'verbs: ["patch"]'],
    ),
    (
        "no permission on the whole cluster",
        403,
        "Forbidden",
        f'nodes is forbidden: User "{ACCOUNT}" cannot list resource "nodes" in API group "" at the cluster scope',
        "cluster_forbidden",
        ["list nodes", "whole cluster", "ClusterRole", 'apiGroups: [""]'],
    ),
    (
        "no permission on a part of it",
        403,
        "Forbidden",
        f'pods "train-0" is forbidden: User "{ACCOUNT}" cannot get resource "pods/log" in API group "" in the namespace "lab": RBAC: role.rbac.authorization.k8s.io "x" not found',
        "cluster_forbidden",
        ["get pods/log", 'resources: ["pods/log"]'],
    ),
    (
        "no permission at all",
        403,
        "Forbidden",
        'forbidden: User "system:anonymous" cannot get path "/version"',
        "cluster_forbidden",
        ["does not let the platform", "/version"],
    ),
    (
        "a quota",
        403,
        "Forbidden",
        'pods "train-0" is forbidden: exceeded quota: team, requested: limits.memory=4Gi,requests.cpu=2, used: limits.memory=14Gi,requests.cpu=7, limited: limits.memory=16Gi,requests.cpu=8',
        "cluster_quota",
        ["quota team", "limits.memory: 4Gi asked, 14Gi of 16Gi used", "requests.cpu: 2 asked"],
    ),
    (
        "a quota on GPUs",
        403,
        "Forbidden",
        'pods "train-0" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=2, used: requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8',
        "cluster_quota",
        ["requests.nvidia.com/gpu: 2 asked, 8 of 8 used"],
    ),
    (
        "a quota that wants amounts",
        403,
        "Forbidden",
        'pods "q2" is forbidden: failed quota: q: must specify requests.cpu for: main',
        "cluster_quota",
        ["quota q", "requests.cpu", "LimitRange"],
    ),
    (
        "a range of limits",
        403,
        "Forbidden",
        'pods "train-0" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Container is 1Gi, but limit is 2Gi]',
        "cluster_limits",
        ["maximum cpu usage per Container is 1"],
    ),
    (
        "the security standard",
        403,
        "Forbidden",
        'pods "train-0" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true)',
        "pod_security",
        ["restricted:latest", "runAsNonRoot"],
    ),
    (
        "a webhook",
        403,
        "Forbidden",
        'admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource Pod/lab/train-0 was blocked due to the following policies\n\ndisallow-latest-tag: tags are wanted',
        "cluster_policy",
        ["validate.kyverno.svc-fail", "tags are wanted"],
    ),
    (
        "a webhook without a reason",
        400,
        "",
        'admission webhook "policy.example.org" denied the request without explanation',
        "cluster_policy",
        ["policy.example.org"],
    ),
    (
        "a policy of the server itself",
        422,
        "Invalid",
        "jobs.batch \"train\" is forbidden: ValidatingAdmissionPolicy 'only-ours' with binding 'lab' denied request: images must come from registry.example",
        "cluster_policy",
        ["only-ours", "images must come from registry.example"],
    ),
    (
        "a webhook that is away",
        500,
        "InternalError",
        'Internal error occurred: failed calling webhook "mpod.kb.io": failed to call webhook: Post "https://kueue.kueue-system.svc:443/mutate?timeout=10s": dial tcp 10.96.1.1:443: connect: connection refused',
        "cluster_policy_down",
        ["mpod.kb.io", "connection refused"],
    ),
    (
        "no namespace",
        404,
        "NotFound",
        'namespaces "lab" not found',
        "namespace_missing",
        ["no namespace lab", "kubectl create namespace lab"],
    ),
    (
        "a namespace that goes",
        403,
        "Forbidden",
        'pods "train-0" is forbidden: unable to create new content in namespace lab because it is being terminated',
        "namespace_terminating",
        ["namespace lab is being deleted"],
    ),
    (
        "no account for pods",
        403,
        "Forbidden",
        'pods "train-0" is forbidden: error looking up service account lab/runner: serviceaccount "runner" not found',
        "cluster_account_missing",
        ["no service account runner"],
    ),
    (
        "no such priority",
        403,
        "Forbidden",
        'pods "train-0" is forbidden: no PriorityClass with name high was found',
        "cluster_class_missing",
        ["no PriorityClass named high"],
    ),
    (
        "no such runtime",
        403,
        "Forbidden",
        'pods "train-0" is forbidden: pod rejected: RuntimeClass "gvisor" not found',
        "cluster_class_missing",
        ["no RuntimeClass named gvisor"],
    ),
    (
        "an expired token",
        401,
        "Unauthorized",
        "Unauthorized",
        "cluster_unauthenticated",
        ["clocks"],
    ),
    (
        "nothing of the name",
        404,
        "NotFound",
        'jobs.batch "train" not found',
        "cluster_missing",
        ['jobs.batch "train"', "namespace lab"],
    ),
    (
        "something of the name",
        409,
        "AlreadyExists",
        'object is being deleted: jobs.batch "train" already exists',
        "cluster_exists",
        ["exists already"],
    ),
    (
        "a change by somebody else",
        409,
        "Conflict",
        'Operation cannot be fulfilled on jobs.batch "train": the object has been modified; please apply your changes to the latest version and try again',
        "cluster_conflict",
        ["changed by somebody else"],
    ),
    (
        "history that is gone",
        410,
        "Expired",
        "too old resource version: 1 (1518)",
        "cluster_gone",
        ["no longer keeps"],
    ),
    (
        "history that is yet to come",
        504,
        "Timeout",
        "Timeout: Too large resource version: 999999999, current: 1518",
        "cluster_gone",
        [],
    ),
    (
        "a field that is wrong",
        422,
        "Invalid",
        'Pod "train-0" is invalid: spec.containers: Required value',
        "cluster_invalid",
        ["spec.containers: Required value"],
    ),
    (
        "a field that is fixed",
        422,
        "Invalid",
        'Job.batch "train" is invalid: spec.template: Invalid value: {"labels":{"a":"b"},"Spec":{"Volumes":null}}: field is immutable',
        "cluster_invalid",
        ["spec.template: field is immutable"],
    ),
    (
        "a field that is unknown",
        500,
        "",
        "failed to create typed patch object (lab/train; batch/v1, Kind=Job): .specc: field not declared in schema",
        "cluster_invalid",
        [".specc: field not declared"],
    ),
    (
        "too many bytes",
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
        "cluster_too_large",
        ["3145728"],
    ),
    (
        "too many bytes in a secret",
        422,
        "Invalid",
        'Secret "train" is invalid: data: Too long: may not be more than 1048576 bytes',
        "cluster_too_large",
        ["1048576"],
    ),
    (
        "too many bytes for the database",
        500,
        "",
        "etcdserver: request is too large",
        "cluster_too_large",
        [],
    ),
    (
        "a database that is full",
        500,
        "",
        "etcdserver: mvcc: database space exceeded",
        "cluster_full",
        ["etcd"],
    ),
    ("a store that is full", 507, "InsufficientStorage", "no room", "cluster_full", ["no room"]),
    (
        "a server that is busy",
        429,
        "TooManyRequests",
        "Too many requests, please try again later.",
        "cluster_unreachable",
        ["goes on trying"],
    ),
    (
        "a server that begins",
        503,
        "ServiceUnavailable",
        "apiserver not ready",
        "cluster_unreachable",
        [],
    ),
    (
        "a server without its database",
        500,
        "",
        "etcdserver: leader changed",
        "cluster_unreachable",
        ["leader changed", "goes on trying"],
    ),
    ("nothing", 418, "", "", "cluster_error", ["HTTP status 418"]),
]


@pytest.mark.parametrize(
    ("status", "reason", "message", "code", "said"),
    [c[1:] for c in CASES],
    ids=[c[0] for c in CASES],
)
def test_refusals(status: int, reason: str, message: str, code: str, said: list[str]) -> None:
    call = JOB if "job" in message.lower() else POD
    error = refusal(status, {"reason": reason, "message": message}, call)
    assert error.code == code
    for part in said:
        assert part in error.message
    assert error.detail["status"] == status
    assert error.detail["namespace"] == "lab"


def test_a_quota_has_its_numbers_for_machines() -> None:
    message = 'pods "a" is forbidden: exceeded quota: team, requested: requests.cpu=2, used: requests.cpu=7, limited: requests.cpu=8'
    detail = refusal(403, {"message": message}, POD).detail
    assert detail["quota"] == "team"
    assert detail["asked"] == {"requests.cpu": "2"}
    assert detail["used"] == {"requests.cpu": "7"}
    assert detail["limit"] == {"requests.cpu": "8"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, Missing), (409, Clash), (410, Gone), (503, ClusterAway), (422, Refused)],
)
def test_what_callers_act_on_has_a_class(status: int, kind: type[Exception]) -> None:
    assert isinstance(refusal(status, {"message": "x"}, POD), kind)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (429, "", True),
        (500, "etcdserver: leader changed", True),
        (500, "etcdserver: mvcc: database space exceeded", False),
        (500, "failed to create typed patch object (x): .a: field not declared in schema", False),
        (
            403,
            'error looking up service account lab/default: serviceaccount "default" not found',
            True,
        ),
        (403, "exceeded quota: team", False),
        (507, "", False),
        (409, "", False),
    ],
)
def test_what_passes_is_told_from_what_stays(status: int, message: str, expected: bool) -> None:
    assert passing(status, message) is expected


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, 'admission webhook "p.example" denied the request: no team label'),
        (403, "ValidatingAdmissionPolicy 'p' denied request: only mine"),
        (403, "pods are forbidden for a reason of its own"),
        (422, 'Pod "p" is invalid: spec.containers[0].name: Required value'),
    ],
)
def test_what_others_say_is_followed_by_what_to_do(status: int, message: str) -> None:
    text = refusal(status, {"message": message}, Call("create", "pods", "", "", "lab")).message
    said, _, step = text.rpartition(". ")
    assert said
    assert "administrator" in step
