"""Why an image is not there.

The texts are those of real clusters: of Kubernetes 1.36 with containerd where nothing else is said.
"""

from __future__ import annotations

import pytest

from kpl_lab.engines.kubernetes.telling import tell
from tests.engines.kubernetes.texts import IMAGE, event, pod, waits

BACK_OFF = f'Back-off pulling image "{IMAGE}"'
PULL = f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": '
# What it is; reason and message of the container; code, whether it is hopeless, what is said.
Pull = tuple[str, str, str, str, bool, str]
PULLS: list[Pull] = [
    (
        "no such tag",
        "ImagePullBackOff",
        f"{BACK_OFF}: ErrImagePull: rpc error: code = NotFound desc = {PULL}{IMAGE}: not found",
        "image_not_found",
        True,
        "The registry has no image",
    ),
    (
        "no such tag, in CRI-O's words",
        "ErrImagePull",
        f"initializing source docker://{IMAGE}: reading manifest 1 in registry.example/team/train: manifest unknown",
        "image_not_found",
        True,
        "manifest unknown",
    ),
    (
        "no such image, as Docker Hub says it",
        "ErrImagePull",
        f"rpc error: code = Unknown desc = {PULL}pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
        "image_denied",
        True,
        "needs a login",
    ),
    (
        "no login",
        "ErrImagePull",
        f"{PULL}failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://registry.example/token: 401 Unauthorized",
        "image_denied",
        True,
        "401 Unauthorized",
    ),
    (
        "a wrong login",
        "ErrImagePull",
        f"{PULL}unexpected status from HEAD request to https://registry.example/v2/team/train/manifests/1: 403 Forbidden",
        "image_denied",
        True,
        "403 Forbidden",
    ),
    (
        "too many pulls",
        "ErrImagePull",
        f"{PULL}unexpected status code 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit.",
        "image_limit",
        False,
        "tried again",
    ),
    (
        "nobody listens",
        "ImagePullBackOff",
        f'{BACK_OFF}: ErrImagePull: {PULL}failed to do request: Head "http://localhost:1/v2/x": dial tcp 127.0.0.1:1: connect: connection refused',
        "registry_unreachable",
        False,
        "connection refused",
    ),
    (
        "no such registry",
        "ErrImagePull",
        f'{PULL}failed to do request: Head "https://registry.invalid/v2/x": dial tcp: lookup registry.invalid on 10.96.0.10:53: no such host',
        "registry_unreachable",
        False,
        "no such host",
    ),
    (
        "a registry that is away",
        "RegistryUnavailable",
        f"image pull failed for {IMAGE} because the registry is unavailable: connection lost",
        "registry_unreachable",
        False,
        "cannot reach",
    ),
    (
        "a certificate of one's own",
        "ErrImagePull",
        f'{PULL}failed to do request: Head "https://registry.example/v2/x": tls: failed to verify certificate: x509: certificate signed by unknown authority',
        "registry_certificate",
        True,
        "does not trust",
    ),
    (
        "a registry without TLS",
        "ErrImagePull",
        f'{PULL}failed to do request: Head "https://registry.example/v2/x": http: server gave HTTP response to HTTPS client',
        "registry_certificate",
        True,
        "HTTP response",
    ),
    (
        "other processors",
        "ErrImagePull",
        f'failed to pull and unpack image "{IMAGE}": no match for platform in manifest: not found',
        "image_platform",
        True,
        "processors",
    ),
    (
        "a full disk",
        "ErrImagePull",
        f'failed to pull and unpack image "{IMAGE}": failed to extract layer sha256:ab: write /var/lib/x: no space left on device',
        "image_no_room",
        False,
        "no room",
    ),
    (
        "a bad signature",
        "SignatureValidationFailed",
        f"image pull failed for {IMAGE} because the signature validation failed: not signed",
        "image_signature",
        True,
        "signature",
    ),
    (
        "never pulled",
        "ErrImageNeverPull",
        f'Container image "{IMAGE}" is not present with pull policy of Never',
        "image_never_pulled",
        True,
        "never to pull",
    ),
    (
        "no name",
        "InvalidImageName",
        'Failed to apply default image tag "Bad Name:1": couldn\'t parse image name "Bad Name:1": invalid reference format: repository name (library/Bad Name) must be lowercase',
        "image_name_invalid",
        True,
        "REGISTRY/NAME:TAG",
    ),
    ("something new", "ErrImagePull", "the moon is full", "image_pull_failed", False, "the moon"),
]


@pytest.mark.parametrize(
    ("reason", "message", "code", "is_hopeless", "said"),
    [c[1:] for c in PULLS],
    ids=[c[0] for c in PULLS],
)
def test_images(reason: str, message: str, code: str, is_hopeless: bool, said: str) -> None:
    found = tell(waits(reason, message))
    assert (found.code, found.is_hopeless, found.is_progress) == (code, is_hopeless, False)
    assert said in found.text
    assert found.detail["image"] == IMAGE


def test_the_registrys_answer_is_taken_from_events_where_the_state_has_none() -> None:
    """Kubernetes before 1.32 says in a container's state only that it waits."""
    events = [
        event("BackOff", BACK_OFF, 3),
        event("Failed", "Error: ErrImagePull", 2),
        event(
            "Failed",
            f'Failed to pull image "{IMAGE}": rpc error: code = NotFound desc = {PULL}{IMAGE}: not found',
            1,
        ),
    ]
    found = tell(waits("ImagePullBackOff", BACK_OFF), events)
    assert found.code == "image_not_found"
    assert found.detail["answer"] == f"{IMAGE}: not found"


def test_the_image_of_a_sidecar_is_named_too() -> None:
    found = pod(
        initContainerStatuses=[
            {
                "name": "agent",
                "image": "base:1",
                "state": {"waiting": {"reason": "ErrImageNeverPull"}},
            }
        ]
    )
    assert tell(found).detail["image"] == "base:1"
