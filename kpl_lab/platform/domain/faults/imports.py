"""Packages that are missing or do not fit together, as Python and the loader tell it.

Texts: CPython 3.11, glibc's ld.so, NumPy's C API, protobuf's runtime_version.py and descriptor.py.
"""

from __future__ import annotations

from kpl_lab.platform.domain.faults.entry import BUILD, Fault, raises, words

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="numpy_mismatch",
        patterns=words(
            raises("ValueError", r"numpy\.(?:dtype|ndarray) size changed"),
            raises("ImportError", r"numpy\.core\.(?:multiarray|umath) failed to import"),
            raises("AttributeError", r"_ARRAY_API not found"),
        ),
        cause="A package was built for another version of NumPy than the one that is installed.",
        action="Name both versions in `image.runs`, such as `pip3 install 'numpy<2'`.",
        usual_duration=BUILD,
    ),
    Fault(
        code="protobuf_mismatch",
        patterns=words(
            raises("TypeError", r"Descriptors cannot (?:not )?be created directly"),
            r"Detected (?:incompatible|mismatched) Protobuf Gencode/Runtime",
        ),
        cause="A package was made for another version of protobuf than the one that is installed.",
        action="Install the version that it was made for, such as `pip3 install 'protobuf<4'`.",
        usual_duration=BUILD,
    ),
    Fault(
        code="system_too_old",
        patterns=words(r"version [`'](?P<what>(?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found"),
        cause="A package was built for a newer system than the environment has ({what} is missing).",
        action="Install an older version of the package, or choose a newer base image.",
        usual_duration=BUILD,
    ),
    Fault(
        code="library_missing",
        patterns=words(r"(?<![\w.+-])(?P<library>[\w.+-]+): cannot open shared object file"),
        cause="The system library {library} is not installed in the environment.",
        action="Use a package that brings it along (such as `opencv-python-headless`), or an image "
        "that has it.",
        usual_duration=BUILD,
    ),
    Fault(
        code="circular_import",
        patterns=words(r"partially initialized module '(?P<module>[^'\n]+)'"),
        cause="The file of the module {module!r} is imported while it is still being read.",
        action="Rename it if it is called like a package; else move the import into the function "
        "that needs it.",
    ),
    Fault(
        code="module_to_run",
        patterns=words(
            r"^\S*python[\d.]*: (?:No module named |Error while finding module specification for ')"
            r"(?P<module>[\w.]+)"
        ),
        cause="`python -m {module}` finds no such module.",
        action="Correct `cmd` in environment.yml, or install the package in `image.runs`.",
    ),
    Fault(
        code="module_not_found",
        patterns=words(r"ModuleNotFoundError: No module named '(?P<module>[^']+)'"),
        cause="The Python package {module!r} is not installed in the environment.",
        action="Add a line `pip3 install PACKAGE` for it to `image.runs` in environment.yml.",
        usual_duration=BUILD,
    ),
    Fault(
        code="import_error",
        patterns=words(r"^ImportError: (?P<what>[^\n]+)"),
        cause="A Python package could not be imported: {what}.",
        action="Check that the versions in `image.runs` fit together.",
        usual_duration=BUILD,
    ),
)
