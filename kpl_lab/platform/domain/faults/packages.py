"""Packages that cannot be installed, as pip 26, setuptools, gcc, git and apt tell it."""

from __future__ import annotations

from kpl_lab.platform.domain.faults.entry import ADMIN, BUILD, PASSES, Fault, words

# pip repeats it for each try; that it was the cause shows what it ends with.
_GAVE_UP = r"(?:[^\n]*\n){0,30}?ERROR: [^\n]*\(from versions: none\)"

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="pip_certificate",
        patterns=words(
            r"problem confirming the ssl certificate: " + r"[^\n]*\n" + _GAVE_UP,
            r"connection broken by 'SSLError\([^\n]*\n" + _GAVE_UP,
        ),
        who="admin",
        cause="The certificate of the package index is not trusted here.",
        action="An administrator names the CA certificates for builds (PIP_CERT; on Docker the option "
        "`ca_bundle`).",
        usual_duration=ADMIN,
    ),
    Fault(
        code="pip_index_unreachable",
        patterns=words(
            r"WARNING: Retrying \(Retry\([^\n]*connection broken by [^\n]*\n" + _GAVE_UP
        ),
        who="admin",
        cause="pip cannot reach the package index.",
        action="Try again; if it stays, an administrator names an index that can be reached "
        "(PIP_INDEX_URL; on Docker in the option `build_arguments`).",
        usual_duration=PASSES,
    ),
    Fault(
        code="pip_hash",
        patterns=words(
            r"DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE|In --require-hashes mode"
        ),
        cause="A package is another one than the hashes in the requirements file say.",
        action="Make that file anew (`pip-compile --generate-hashes`).",
        usual_duration=BUILD,
    ),
    Fault(
        code="pip_python",
        patterns=words(
            r"ERROR: Package '(?P<package>[^']+)' requires a different Python: (?P<what>[^\n]+)"
        ),
        cause="{package} does not work with this version of Python: {what}.",
        action="Ask for another version of it, or for a base image with another Python.",
        usual_duration=BUILD,
    ),
    Fault(
        code="pip_platform",
        patterns=words(r"ERROR: (?P<wheel>\S+\.whl) is not a supported wheel on this platform"),
        cause="{wheel} is for another Python or another kind of machine.",
        action="Install it by its name, so that pip picks the one that fits.",
        usual_duration=BUILD,
    ),
    Fault(
        code="pip_requirements",
        patterns=words(r"Could not open requirements file: [^\n]*: '(?P<path>[^'\n]+)'"),
        cause="There is no file {path} where the environment is built.",
        action="Write the packages into `image.runs` of environment.yml; a Dockerfile has to copy the "
        "file first.",
        usual_duration=BUILD,
    ),
    Fault(
        code="pip_path",
        patterns=words(
            r"Hint: It looks like a path\. (?:File )?'(?P<path>[^'\n]+)' does not exist",
            r"ERROR: Directory '(?P<path>[^'\n]+)' is not installable",
            r"ERROR: (?P<path>\S+) does not appear to be a Python project",
        ),
        cause="pip is to install {path}, where there is no Python project.",
        action="Correct the path: a build of `image.runs` has no code folder, and a Dockerfile has to "
        "copy it first.",
        usual_duration=BUILD,
    ),
    Fault(
        code="pip_requirement",
        patterns=words(r"ERROR: Invalid requirement: (?P<what>[^\n]+)"),
        cause="pip cannot read what it is to install: {what}.",
        action="Write it as NAME==VERSION, in quotes if it has a `<` or `>`.",
        usual_duration=BUILD,
    ),
    Fault(
        code="pip_bad_wheel",
        patterns=words(r"ERROR: Wheel '(?P<wheel>[^']+)' located at [^\n]+ is invalid"),
        cause="The file of the package {wheel} is broken.",
        action="Download it again, or install the package by its name.",
        usual_duration=BUILD,
    ),
    Fault(
        code="pip_no_match",
        patterns=words(r"ERROR: No matching distribution found for (?P<requirement>[^\n]+)"),
        cause="pip found no version that satisfies {requirement}.",
        action="Correct the name or version in `image.runs`.",
        usual_duration=BUILD,
    ),
    Fault(
        code="pip_conflict",
        patterns=words(r"ERROR: ResolutionImpossible|conflicting dependencies"),
        cause="The packages in `image.runs` want versions that exclude one another.",
        action="Loosen or drop one of the version numbers.",
        usual_duration=BUILD,
    ),
    Fault(
        code="externally_managed",
        patterns=words(r"error: externally-managed-environment"),
        cause="pip may not change the Python of the image's system.",
        action="Use an image with a virtual environment, or `pip3 install --break-system-packages`.",
        usual_duration=BUILD,
    ),
    Fault(
        code="git_missing",
        patterns=words(r"ERROR: Cannot find command 'git'"),
        cause="A package comes from a Git repository, and the environment has no Git.",
        action="Choose an image with Git, or install a release of the package.",
        usual_duration=BUILD,
    ),
    Fault(
        code="git_failed",
        patterns=words(
            r"fatal: (?P<what>(?:unable to access|repository|could not read|Remote branch)[^\n]+)"
        ),
        cause="A Git repository could not be had: {what}.",
        action="Check its address and who may read it, and that it can be reached from here.",
        usual_duration=BUILD,
    ),
    Fault(
        code="compiler_missing",
        patterns=words(
            r"error: command '[^'\n]*(?:gcc|cc|g\+\+|c\+\+|clang)' failed: No such file",
            r"CMAKE_C(?:XX)?_COMPILER not set",
        ),
        cause="A package has to be compiled, and the environment has no compiler.",
        action="Use a version that comes as a wheel, or an image with a compiler.",
        usual_duration=BUILD,
    ),
    Fault(
        code="header_missing",
        patterns=words(r"fatal error: (?P<header>[\w./+-]+\.h(?:pp)?): No such file or directory"),
        cause="A package has to be compiled, and the header {header} is not there.",
        action="Use a version that comes as a wheel, or an image with the library's -dev package.",
        usual_duration=BUILD,
    ),
    Fault(
        code="compile_failed",
        patterns=words(
            r"error: command '[^'\n]*(?:gcc|cc|g\+\+|c\+\+|clang)' failed",
            r"^collect2: error: |^CMake Error at ",
        ),
        cause="A package had to be compiled, and that failed.",
        action="Use a version that comes as a wheel.",
        usual_duration=BUILD,
    ),
    Fault(
        code="pip_build_failed",
        patterns=words(
            r"error: (?:metadata-generation-failed|failed-wheel-build-for-install)",
            r"ERROR: Failed building wheel for |ERROR: Failed to build ",
        ),
        cause="A package is given out as source code only, and making it failed.",
        action="Use a version that comes as a wheel; the log says what its own setup printed.",
        usual_duration=BUILD,
    ),
    Fault(
        code="apt_not_root",
        patterns=words(
            r"Unable to acquire the dpkg frontend lock[^\n]*are you root|E: [^\n]*\(13: Permission denied\)"
        ),
        cause="A line of `image.runs` installs system packages, and builds on this engine may not.",
        action="Choose an image that has them, or a Python package that brings them along.",
        usual_duration=BUILD,
    ),
    Fault(
        code="apt_no_package",
        patterns=words(r"E: Unable to locate package (?P<package>\S+)"),
        cause="apt knows no package {package!r}.",
        action="Correct its name, and let `apt-get update` go before.",
        usual_duration=BUILD,
    ),
)

# Looked for last: what a line printed says more than that it failed.
GENERAL: tuple[Fault, ...] = (
    Fault(
        # As `engines/local/build_steps.py` says it.
        code="build_line",
        patterns=words(
            r"line (?P<number>\d+) of image\.runs ended with exit code \d+: (?P<run>.*)"
        ),
        cause="Line {number} of `image.runs` failed: {run}",
        action="Mend the line in environment.yml; the build log says what it printed.",
        usual_duration=BUILD,
    ),
)
