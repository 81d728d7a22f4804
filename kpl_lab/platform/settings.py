"""Settings of the platform: traits, read from ``$KPL_HOME/platform.py`` when it exists."""

from __future__ import annotations

from traitlets import Bool, Float, Int, Unicode
from traitlets.config import Configurable
from traitlets.config.loader import PyFileConfigLoader

from kpl_lab.settings import Home

FILE_NAME = "platform.py"
GIB = 1 << 30


class PlatformOptions(Configurable):
    """What an administrator may change about the platform."""

    cpu_overcommit = Float(
        4.0, help="CPU is admitted up to this multiple of the real cores; memory and GPUs never."
    ).tag(config=True)
    max_upload_bytes = Int(100 * GIB, help="Bytes that one upload may hold.").tag(config=True)
    max_unpacked_bytes = Int(200 * GIB, help="Bytes that an archive may hold once unpacked.").tag(
        config=True
    )
    max_archive_entries = Int(1_000_000, help="Files and folders in one archive.").tag(config=True)
    max_archive_ratio = Int(
        200, help="How many times larger than itself an archive may unpack; guards against bombs."
    ).tag(config=True)
    code_limit_mb = Int(
        50, help="MB (of 1024 x 1024 bytes) that a code folder may hold, packed."
    ).tag(config=True)
    image_catalog = Unicode(
        "",
        help="The administrator's image catalog, a YAML file; a relative path starts in KPL_HOME. "
        "Empty: images.yml there where it exists, else the shipped one.",
    ).tag(config=True)
    allow_image_fallback = Bool(
        None,
        allow_none=True,
        help="An unknown from_image becomes the default image, and the task says so. "
        "None: on the local engine alone; the others ask the registry.",
    ).tag(config=True)
    token_cache_seconds = Float(
        30.0, help="Seconds for which the hub's answer about a token is believed."
    ).tag(config=True)
    token_stale_seconds = Float(
        300.0, help="Seconds for which it is believed while the hub does not answer."
    ).tag(config=True)
    import_memory_mb = Int(4096, help="MiB that the import of a dataset may use.").tag(config=True)
    upload_days = Float(
        1.0, help="Days after which an upload of which nothing was made is forgotten."
    ).tag(config=True)
    builds_at_once = Int(
        2, min=1, help="Environments that are built at the same time; further ones wait."
    ).tag(config=True)
    build_memory_mb = Int(
        4096, min=256, help="MiB that the build of an environment may use, and reserves."
    ).tag(config=True)
    build_limit_minutes = Float(
        60.0, min=0.1, help="Minutes after which a build that has not ended is ended."
    ).tag(config=True)
    image_limit_gb = Float(
        20.0,
        min=0.0,
        help="GiB that a built or loaded image may take on disk, where the engine can tell; 0: any "
        "amount.",
    ).tag(config=True)
    idle_stop_minutes = Float(
        0.0,
        min=0.0,
        help="Minutes after which a notebook server is stopped in which nothing runs: no busy "
        "kernel, no terminal at work, no GPU in use. 0: never. Users may choose otherwise.",
    ).tag(config=True)
    idle_stop_is_ceiling = Bool(
        False,
        help="Users may choose fewer minutes than idle_stop_minutes, but neither more nor never.",
    ).tag(config=True)
    idle_warning_minutes = Float(
        5.0,
        min=0.0,
        help="So many minutes before an idle server is stopped, JupyterLab says so and offers to "
        "keep it running; at most half of the time until then.",
    ).tag(config=True)
    idle_gpu_minutes = Float(
        0.0,
        min=0.0,
        help="Minutes after which a notebook server is stopped that holds GPUs and computes nothing "
        "on them, whatever else it does; 0: never. A pool's own idle_gpu_minutes comes first.",
    ).tag(config=True)
    server_starts_kept = Int(
        20,
        min=1,
        help="Starts of each notebook server whose events and log are kept; older ones are "
        "forgotten as soon as they have ended.",
    ).tag(config=True)
    unused_image_days = Float(
        30.0,
        min=0.0,
        help="Days after which an image or environment that was built here is removed, when neither "
        "the catalog nor an algorithm, service or task has used it since; 0: never.",
    ).tag(config=True)
    storage_cache_mb = Int(
        0,
        min=0,
        help="MiB that the folder storage may hold of what is also in the bucket of KPL_STORAGE_URL; "
        "beyond, what was not used for the longest time is removed there. 0: any amount.",
    ).tag(config=True)
    event_days = Int(30, help="Days for which events are kept.").tag(config=True)


def load_options(home: Home) -> PlatformOptions:
    """Return the options of this installation."""
    if (home.root / FILE_NAME).exists():
        return PlatformOptions(config=PyFileConfigLoader(FILE_NAME, str(home.root)).load_config())
    return PlatformOptions()
