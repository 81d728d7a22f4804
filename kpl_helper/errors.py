"""What can go wrong between an algorithm and the platform.

Every class also inherits from the built-in exception that code of the time would have caught.
"""

from __future__ import annotations


class KplHelperError(Exception):
    """Base of everything that this package raises on purpose."""


class NotOnPlatformError(KplHelperError):
    """The call needs the platform, and its description in the environment is missing or incomplete."""


class InputNotFoundError(KplHelperError, FileNotFoundError):
    """A required input of the task is not there."""


class ParameterError(KplHelperError):
    """The parameters are missing or cannot be read."""


class ParameterFileNotFoundError(ParameterError, FileNotFoundError):
    """The local parameter file does not exist."""


class MissingParameterError(ParameterError, KeyError, AttributeError):
    """No parameter of that name; both ``p.name`` and ``p["name"]`` raise it."""

    def __str__(self) -> str:
        # KeyError would print the repr of the message.
        return str(self.args[0]) if self.args else ""


class PlatformUnreachableError(KplHelperError, ConnectionError):
    """No usable answer: nothing listens, the network failed, or the answer was not the platform's."""


class PlatformRefusedError(KplHelperError):
    """The platform answered and said no.

    Parameters
    ----------
    code
        The ``code`` of the answer, or ``HTTP <status>`` where it had none.
    reason
        The sentence that came with it.
    status
        HTTP status.
    """

    def __init__(self, code: str, reason: str, status: int) -> None:
        super().__init__(f"the platform refused the request: {reason or code} ({code})")
        self.code = code
        self.reason = reason
        self.status = status


class SaveError(KplHelperError):
    """What was to be saved cannot be sent."""


class NothingToSaveError(SaveError, FileNotFoundError):
    """The path that was to be saved does not exist."""


class TooLargeError(SaveError, ValueError):
    """A packed code folder is above the platform's limit."""
