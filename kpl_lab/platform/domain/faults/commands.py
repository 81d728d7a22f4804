"""Commands that cannot be run, as dash, bash and the kernel tell it."""

from __future__ import annotations

from kpl_lab.platform.domain.faults.entry import Fault, words

_SHELL = r"(?:sh|bash)(?:: -c)?(?:: \d+|: line \d+)?: (?:\d+: )?"

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="windows_lines",
        patterns=words(
            r"\$'[^'\n]*\\r'",
            r"\^M: bad interpreter",
            r"\r: (?:command )?not found|‘[^‘’\n]*\\r’: No such file|python\d?\\r",
        ),
        cause="A script has the line ends of Windows, which no shell here understands.",
        action="Save it with line ends of Unix (`sed -i 's/\\r$//' FILE`).",
    ),
    Fault(
        code="exec_format",
        codes=("command_format",),
        patterns=words(
            r"(?:^|[\s:])(?P<program>[^\s:'\"]+): (?:cannot execute binary file: )?[Ee]xec format error",
            r"\[Errno 8\] Exec format error: '(?P<program>[^']+)'",
        ),
        cause="{program} is no program for this kind of machine, or a script without its first line.",
        action="Begin a script with `#!/bin/sh`; build a program for this machine's processor.",
    ),
    Fault(
        code="bad_interpreter",
        patterns=words(
            r"(?<![^\s:])(?P<program>[^\s:]+): (?:cannot execute: required file not found"
            r"|[^:\n]+: bad interpreter: No such file or directory)"
        ),
        cause="What {program} names in its first line is not there, or the line ends as in Windows.",
        action="Correct the line `#!…`, and save the file with line ends of Unix.",
    ),
    Fault(
        code="command_not_found",
        patterns=words(
            _SHELL + r"(?P<command>[^:\n]+): (?:command )?not found",
            r"env: ['‘](?P<command>[^'’\n]+)['’]: No such file or directory",
        ),
        cause="The command {command!r} does not exist in the environment.",
        action="Correct `cmd` in environment.yml, or install the program in `image.runs`.",
    ),
    Fault(
        code="shell_syntax",
        patterns=words(
            _SHELL + r"[Ss]yntax error:? (?P<what>[^\n]+)",
            _SHELL + r"(?P<what>unexpected EOF while looking for matching [^\n]+)",
        ),
        cause="The shell cannot read the command: {what}.",
        action="Correct its quotes and brackets in environment.yml.",
    ),
)
