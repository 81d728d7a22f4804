"""What goes wrong with an S3 server, in words: what it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kpl_lab.errors import Invalid, KplError, StorageFull, Unavailable

NOT_THERE = ("NoSuchKey", "404")
_NO_BUCKET = ("NoSuchBucket",)
_CREDENTIALS = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidToken",
    "InvalidClientTokenId",
    "AuthorizationHeaderMalformed",
    "RequestTimeTooSkewed",
    "AccessDeniedException",
    "InvalidIdentityToken",
)
_DENIED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "403")
_FULL = ("QuotaExceeded", "XMinioStorageFull", "InsufficientCapacity", "EntityTooLarge", "507")
_SLOW = ("SlowDown", "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequests")
_AWAY = (
    "InternalError",
    "ServiceUnavailable",
    "500",
    "502",
    "503",
    "504",
    "XMinioServerNotInitialized",
)


def no_bucket(url: str) -> KplError:
    """Return the error of a bucket that is not there."""
    return Unavailable(
        f"The object storage has no bucket for {url}. Make it, or correct KPL_STORAGE_URL.",
        code="storage_no_bucket",
    )


def wrong_credentials(url: str, why: str) -> KplError:
    """Return the error of keys that the server does not know, or of none."""
    return Unavailable(
        f"The object storage at {url} does not accept the credentials. Correct AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, then run `kpl-lab up` again.",
        code="storage_credentials",
        detail={"error": why},
    )


def denied(url: str, why: str) -> KplError:
    """Return the error of rights that are missing."""
    return Unavailable(
        f"The object storage denies access to {url}. Its account needs to list, read, write and delete "
        "objects there.",
        code="storage_denied",
        detail={"error": why},
    )


def full(url: str, why: str) -> KplError:
    """Return the error of a quota that is used up, or a server without room."""
    return StorageFull(
        f"The object storage at {url} has no room left. Delete datasets, models or tasks that are no "
        "longer needed, or ask its administrator for more room.",
        detail={"error": why},
    )


def slow(url: str, why: str) -> KplError:
    """Return the error of a server that asks for fewer requests."""
    return Unavailable(
        f"The object storage at {url} is overloaded and asks to slow down; it is tried again.",
        code="storage_slow",
        detail={"error": why},
    )


def unreachable(url: str, why: str) -> KplError:
    """Return the error of a server that does not answer."""
    return Unavailable(
        f"The object storage at {url} does not answer; it is tried again. If that goes on, see "
        "whether it runs and whether AWS_ENDPOINT_URL is right.",
        code="storage_unreachable",
        detail={"error": why},
    )


class Explained:
    """Raises the error of what a server answered beside others."""

    def __init__(self, url: str) -> None:
        self._url = url

    def refuse(self, code: str, why: str) -> None:
        """Raise the error for S3's own word for it."""
        raise _of_code(self._url, code, why)


def _of_code(url: str, code: str, why: str) -> KplError:
    said = f"{code}: {why}"
    if code in _NO_BUCKET:
        return no_bucket(url)
    if code in _FULL:
        return full(url, said)
    known = {_CREDENTIALS: wrong_credentials, _DENIED: denied, _SLOW: slow}
    for codes, make in known.items():
        if code in codes:
            return make(url, said)
    return unreachable(url, said)


@contextmanager
def explain_bucket(url: str) -> Iterator[Explained]:
    """Turn what boto3 raises into the house's errors.

    Raises
    ------
    Unavailable
        The server is away, slow, without the bucket, or does not let us; trying again may help, if
        only after an administrator has mended it.
    StorageFull
        It has no room.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        NoCredentialsError,
        PartialCredentialsError,
        ProfileNotFound,
    )
    from s3transfer.exceptions import RetriesExceededError

    no_keys = (
        NoCredentialsError,
        PartialCredentialsError,
        CredentialRetrievalError,
        ProfileNotFound,
    )
    try:
        yield Explained(url)
    except ClientError as error:
        answer = error.response.get("Error", {})
        code, why = str(answer.get("Code", "")), str(answer.get("Message", error))
        raise _of_code(url, code, why) from error
    except no_keys as error:
        raise wrong_credentials(url, str(error)) from error
    except (BotoCoreError, RetriesExceededError) as error:
        raise unreachable(url, str(error)) from error


def is_broken_off(error: Exception) -> bool:
    """Say whether an answer ended before it was whole; one that stands still is given up."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError, ReadTimeoutError

    is_broken = isinstance(error, HTTPClientError | IncompleteReadError | OSError)
    return is_broken and not isinstance(error, ReadTimeoutError)


def is_silence(error: KplError) -> bool:
    """Say whether an error means that the server cannot be reached, or says nothing."""
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.exceptions import HTTPClientError

    return isinstance(error.__cause__, HTTPClientError | NoConnection)


def bad_address(why: str) -> KplError:
    """Return the error of an address that is none."""
    return Invalid(
        "AWS_ENDPOINT_URL is no address of a server; it has to begin with http:// or https://, as in "
        "http://minio.example:9000.",
        code="storage_address",
        detail={"error": why},
    )
