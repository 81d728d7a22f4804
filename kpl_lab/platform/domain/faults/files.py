"""Files that are missing, in the way, or not the program's."""

from __future__ import annotations

from kpl_lab.platform.domain.faults.entry import Fault, words

_WRITE = "Write to a folder of `get_output_path`, and read inputs through `get_input_path`."

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="is_folder",
        patterns=words(r"\[Errno 21\] Is a directory: '(?P<path>[^']+)'"),
        cause="The program opened {path} as a file, and it is a folder.",
        action="Inputs are folders: name the file in it (`os.path.join(path, …)`).",
    ),
    Fault(
        code="not_a_folder",
        patterns=words(r"\[Errno 20\] Not a directory: '(?P<path>[^']+)'"),
        cause="The program looks into {path} as if its parent were a folder, and it is a file.",
        action="Correct the path.",
    ),
    Fault(
        code="file_exists",
        patterns=words(r"\[Errno 17\] File exists: '(?P<path>[^']+)'"),
        cause="The program makes {path}, which is there already.",
        action="Allow for it (`os.makedirs(…, exist_ok=True)`): output folders exist from the start.",
    ),
    Fault(
        code="read_only",
        patterns=words(r"Read-only file system(?:: '(?P<path>[^']+)')?"),
        cause="The program wrote where it may only read.",
        action="Inputs are read-only; write to a folder of `get_output_path`.",
    ),
    Fault(
        code="not_executable",
        patterns=words(
            r"\bsh: \d+: (?P<command>(?!cannot )[^:\n]+): Permission denied",
        ),
        cause="{command!r} is there, but the account that everything runs under may not run it.",
        action="Give everybody the right to run it (`chmod a+rx`), or start it with its interpreter "
        "(`sh FILE`, `python3 FILE`).",
    ),
    Fault(
        code="permission_denied",
        patterns=words(
            r"\[Errno 13\] Permission denied: '(?P<what>[^']+)'",
            r"(?:sh|bash)(?:: \d+|: line \d+)?: (?:\d+: )?(?:cannot \w+ )?(?P<what>[^:\n]+): "
            r"Permission denied",
        ),
        cause="The program has no right to use {what}.",
        action=_WRITE,
    ),
    Fault(
        code="script_not_found",
        patterns=words(r"can't open file '(?:[^']*/)?(?P<file>[^'/]+)'"),
        cause="The script {file!r} is not in the code folder.",
        action="Correct `cmd` in environment.yml, or add the script to the folder.",
    ),
    Fault(
        code="file_not_found",
        patterns=words(
            r"FileNotFoundError: \[Errno 2\][^:\n]*: '(?P<path>[^']+)'",
            r"^(?:cat|ls|cp|mv|tar|unzip|cd|head|tail|source|python3?)(?:: \d+)?: [^\n]*?"
            r"['‘]?(?P<path>[^\s:'‘’]+)['’]?: (?:Cannot open: )?No such file or directory",
        ),
        cause="The program opened {path}, which is not there.",
        action="Use `get_input_path` for inputs and paths relative to the code for its own files.",
    ),
)
