"""Makes the folders and secrets of an installation, owned by the accounts that need them."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.engines.local.accounts import Account, platform_account
from kpl_lab.errors import Invalid, StorageFull
from kpl_lab.settings import Secret, Settings, unusable_home

# Passwords are typed by people; JupyterHub wants 32 characters of an admin's.
_PASSWORD_BYTES = {Secret.ADMIN_PASSWORD: 24, Secret.USERS_PASSWORD: 12}
MINIMUM_FREE_BYTES = 64 << 20
# JupyterHub refuses shorter ones of an administrator.
ADMIN_PASSWORD_LENGTH = 32
METRICS_TOKEN_LENGTH = 16


@dataclass(frozen=True)
class _Folder:
    path: Path
    mode: int
    is_platforms: bool = True


def _folders(settings: Settings) -> tuple[_Folder, ...]:
    home = settings.home
    return (
        # Passable but not listable: workloads reach what is shown to them below it.
        _Folder(home.root, 0o711, is_platforms=False),
        _Folder(home.secrets, 0o700),
        # Sticky: the platform makes its sockets here, but cannot replace our process records.
        _Folder(home.run, 0o1770, is_platforms=False),
        _Folder(home.logs, 0o700, is_platforms=False),
        _Folder(home.hub, 0o700),
        _Folder(home.platform, 0o700),
        _Folder(home.storage, 0o711),
        _Folder(home.frontdoor, 0o700),
        _Folder(home.frontdoor / "dynamic", 0o700),
        _Folder(home.local, 0o711, is_platforms=False),
        _Folder(home.engine(settings.engine), 0o711, is_platforms=False),
    )


def prepare(settings: Settings) -> Account:
    """Make folders and secrets that are missing, and put owners and modes right; repeatable.

    Returns
    -------
    Account
        Who the unprivileged processes run as, and who owns their folders.

    Raises
    ------
    StorageFull
        There is hardly room left on the disk.
    Invalid
        The home cannot be made or is somebody else's, or a file that was named cannot be used.
    """
    root = settings.home.root
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable_home(root, error.strerror or str(error)) from error
    if os.geteuid() not in (0, root.stat().st_uid):
        raise unusable_home(root, "it belongs to another account")
    free = shutil.disk_usage(settings.home.root).free
    if free < MINIMUM_FREE_BYTES:
        raise StorageFull(
            f"Only {free >> 20} MiB are free where {settings.home.root} lies; make room, or set "
            "KPL_HOME to a folder on another disk.",
            detail={"free_bytes": free},
        )
    account = platform_account(settings)
    for folder in _folders(settings):
        folder.path.mkdir(exist_ok=True)
        _own(folder.path, account if folder.is_platforms else _ours(account), folder.mode)
    for name in Secret:
        _keep_secret(settings.home.secrets / name, name, account)
    for taken in _TAKEN:
        given = getattr(settings, taken.setting)
        if given is not None:
            _take(settings.home.secrets, given, taken, account)
    if settings.config is not None:
        _show_config(settings.config, root)
    settings.home.settings.chmod(0o644)
    return account


def own_tree(folder: Path, account: Account) -> None:
    """Give ``account`` everything below ``folder``; links are not followed."""
    if os.geteuid() != 0:
        return
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            os.chown(Path(parent, name), account.uid, account.gid, follow_symlinks=False)


def _ours(account: Account) -> Account:
    # Our own uid with the platform's group: both may write where the mode says so.
    return Account(os.geteuid(), account.gid)


def _own(path: Path, account: Account, mode: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    path.chmod(mode)


def _keep_secret(path: Path, name: Secret, account: Account) -> None:
    if not path.exists():
        count = _PASSWORD_BYTES.get(name)
        text = secrets.token_urlsafe(count) if count else secrets.token_hex(32)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(text + "\n")
        fresh.replace(path)
    _own(path, account, 0o600)


@dataclass(frozen=True)
class _Taken:
    """A secret that a file of the administrator's may hold."""

    secret: Secret
    setting: str
    what: str
    code: str
    length: int

    @property
    def variable(self) -> str:
        return f"KPL_{self.setting.upper()}"


_TAKEN = (
    _Taken(
        Secret.ADMIN_PASSWORD,
        "admin_password_file",
        "administrator's password",
        "admin_password",
        ADMIN_PASSWORD_LENGTH,
    ),
    _Taken(
        Secret.METRICS,
        "metrics_token_file",
        "scrapers' token",
        "metrics_token",
        METRICS_TOKEN_LENGTH,
    ),
)


def _take(folder: Path, given: Path, taken: _Taken, account: Account) -> None:
    """Have a secret be what a file holds."""
    try:
        text = given.read_text().strip()
    except OSError as error:
        raise Invalid(
            f"{taken.variable} names {given}, which cannot be read: {error.strerror}.",
            code=f"no_{taken.code}",
        ) from error
    if len(text) < taken.length:
        raise Invalid(
            f"The {taken.what} in {given} has {len(text)} characters; it needs "
            f"{taken.length} or more.",
            code=f"short_{taken.code}",
        )
    path = folder / taken.secret
    path.write_text(text + "\n")
    _own(path, account, 0o600)


def _show_config(config: Path, root: Path) -> None:
    """Have the home show an administrator's files by links, and those that went no more."""
    for path in root.iterdir():
        if path.is_symlink() and path.readlink().parent == config:
            path.unlink()
    try:
        found = [path for path in config.iterdir() if path.is_file()]
    except OSError as error:
        raise Invalid(
            f"KPL_CONFIG names {config}, which cannot be read: {error.strerror}.", code="no_config"
        ) from error
    for path in found:
        link = root / path.name
        if link.exists():
            raise Invalid(
                f"{link} and {path} are both there; remove one of them, so that it is plain which "
                "counts.",
                code="two_configs",
            )
        link.symlink_to(path)
