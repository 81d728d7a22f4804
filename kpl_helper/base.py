"""Where the code runs, and how it says so.

The variables are described in the runtime contract, section 3. They are read once, at the first use.
"""

from __future__ import annotations

import json
import logging
import os
import sys

logger = logging.getLogger("kpl-helper")


class Config:
    """The environment of one process, as the platform describes it.

    Raises
    ------
    NotOnPlatformError
        When ``KPL_ENV_TASK_ID`` is not a number.
    """

    def __init__(self) -> None:
        env = os.environ.get
        self.inner = "KPL_INNER" in os.environ
        self.env_type = env("KPL_ENV", "")
        self.notebook = self.env_type == "notebook"
        self.input_root = env("KPL_ENV_INPUT_ROOT_PATH") or env("KPL_INPUT_ROOT") or ""
        self.output_root = env("KPL_ENV_OUTPUT_ROOT_PATH") or env("KPL_OUTPUT_ROOT") or ""
        self.parameter = env("KPL_ENV_PARAMETER") or env("KPL_PARAMETER") or ""
        self.api = (env("KPL_ENV_INTERNAL_API_HOST") or env("KPL_BACKEND_HOST") or "").rstrip("/")
        self.task_id = _task_id(env("KPL_ENV_TASK_ID") or "0")
        self.optional_inputs = _string_list(env("KPL_ENV_OPTIONAL_INPUTS") or "[]")
        self._token_file = env("KPL_TOKEN_LOCATE") or ""
        self._token = env("KPL_TOKEN") or ""

    @property
    def local_files(self) -> bool:
        """Whether paths and parameters come from the caller's own files."""
        return not self.inner or self.notebook

    @property
    def has_task(self) -> bool:
        """Whether there is a task that metrics, progress and failures belong to."""
        is_task = self.env_type not in ("notebook", "deploy")
        return self.inner and is_task and bool(self.api)

    def token(self) -> str:
        """Return the bare JWT; the file is read anew each time, since the platform may renew it."""
        if self._token_file:
            from pathlib import Path

            try:
                return Path(self._token_file).read_text(encoding="utf-8").strip()
            except OSError:
                return self._token
        return self._token


def _task_id(text: str) -> int:
    if text.strip().isdigit():
        return int(text)
    from kpl_helper.errors import NotOnPlatformError

    raise NotOnPlatformError(f"KPL_ENV_TASK_ID is {text!r}; the platform sets it to a whole number")


def _string_list(text: str) -> frozenset[str]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, list):
        logger.warning("KPL_ENV_OPTIONAL_INPUTS is not a JSON list and is ignored: %s", text)
        return frozenset()
    return frozenset(str(key) for key in value)


_config: Config | None = None


def get_config() -> Config:
    """Return the description of the environment, read at the first call."""
    global _config
    if _config is None:
        _config = Config()
    return _config


def show_log_lines() -> None:
    """Let ``info`` lines through, as the original client does when it is imported on the platform.

    The original installs a root handler, which makes every later ``logging.basicConfig`` of the
    algorithm a no-op. Here only the level and the handler of last resort change, so that the lines of
    old scripts still appear and newer scripts configure logging as they like.
    """
    root = logging.getLogger()
    if root.handlers or root.level != logging.WARNING:
        return
    root.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logging.lastResort = handler


def ready() -> None:
    """Say that the algorithm starts to use the helper; calling it is optional."""
    logger.info("[kpl-helper]: ready for using.")


def done() -> None:
    """Say that the algorithm is through; what is still buffered is sent now, in the background."""
    logger.info("[kpl-helper]: execute kpl done()")
    from kpl_helper._sender import current_sender

    sender = current_sender()
    if sender is not None:
        sender.nudge()
