"""What a program does wrong with its parameters, inputs, models and data.

Texts: CPython 3.11, PyYAML, NumPy, PyTorch's nn/modules and serialization, and our own clients.
"""

from __future__ import annotations

from kpl_lab.platform.domain.faults.entry import AT_ONCE, PASSES, Fault, raises, words

_DATASET_ERRORS = "|".join(
    ("DatasetNotFoundError", "DatasetIncompleteError", "DatasetCorruptError", "RecordCorruptError")
)

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="bad_parameter",
        reads_code=True,
        patterns=words(
            r"\b(?P<what>\w*ParameterError: [^\n]+|(?:Key|Attribute)Error: [^\n]*[Pp]arameter[^\n]*)",
            # The line of code speaks of parameters: ``parameters["epochs"]``.
            r"^ +[^\n]*[Pp]aram[^\n]*\n(?:[ ~^]*\n)?(?P<what>(?:Key|Attribute)Error: [^\n]+)",
        ),
        cause="The program uses a parameter that was not given or does not fit: {what}.",
        action="Compare parameter.yml with the names that the code reads.",
    ),
    Fault(
        code="input_missing",
        patterns=words(
            r"(?P<what>(?:InputNotFoundError|MissingInputError|InputMissing\w*): [^\n]+)"
        ),
        cause="The program asked for an input that the task does not have: {what}.",
        action="Fill that input when you submit, or declare it `optional: true`.",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="dataset_broken",
        patterns=words(rf"(?P<what>(?:{_DATASET_ERRORS}): [^\n]+)"),
        cause="The dataset cannot be read: {what}",
        action="Look at it with `kpl dataset show NAME`; import it again, or use another version.",
    ),
    Fault(
        code="platform_unreachable",
        patterns=words(raises("PlatformUnreachableError", r"(?P<what>[^\n]+)")),
        who="platform",
        cause="The program did not reach the platform: {what}",
        action="Start it again; if it stays, ask an administrator.",
        usual_duration=PASSES,
    ),
    Fault(
        code="platform_refused",
        patterns=words(raises("PlatformRefusedError", r"(?P<what>[^\n]+)")),
        cause="The platform refused what the program sent: {what}.",
        action="Correct what it saves or reports; the sentence says what is wrong with it.",
    ),
    Fault(
        code="bad_arguments",
        is_weak=True,
        patterns=words(
            r"^(?P<program>[\w./-]+): error: (?P<what>(?:argument |unrecognized arguments|the "
            r"following arguments are required|one of the arguments)[^\n]*)"
        ),
        cause="{program} was called with wrong arguments: {what}.",
        action="Correct `cmd` in environment.yml.",
    ),
    Fault(
        code="json_invalid",
        patterns=words(raises("JSONDecodeError", r"(?P<what>[^\n]+)")),
        cause="A file or answer that should be JSON is not: {what}.",
        action="Correct it; an empty file or a page of HTML is no JSON either.",
    ),
    Fault(
        code="yaml_invalid",
        patterns=words(
            r"^(?:yaml\.)?(?:scanner\.Scanner|parser\.Parser|constructor\.Constructor)Error: "
            r"(?P<what>[^\n]+)"
        ),
        cause="A YAML file cannot be read: {what}.",
        action="Correct the line that the log names; indent with spaces, and quote texts with `: `.",
    ),
    Fault(
        code="text_encoding",
        patterns=words(raises("Unicode(?:Decode|Encode)Error", r"(?P<what>[^\n]+)")),
        cause="A text is not in the encoding that the program expects: {what}.",
        action="Name the encoding (`open(…, encoding='utf-8')`, or 'gbk' for older Chinese files).",
    ),
    Fault(
        code="no_keyboard",
        patterns=words(raises("EOFError", "EOF when reading a line")),
        cause="The program waits for somebody to type, and tasks have no keyboard.",
        action="Read the value from parameter.yml instead of `input()`.",
    ),
    Fault(
        code="no_display",
        patterns=words(
            r"no display name and no \$DISPLAY|[Cc]annot connect to (?:X server|display)"
            r"|could not connect to display|Could not load the Qt platform plugin"
        ),
        cause="The program wants to open a window, and there is no screen.",
        action="Save pictures to files (`matplotlib.use('Agg')`, opencv-python-headless).",
    ),
    Fault(
        code="main_guard",
        patterns=words(
            r"An attempt has been made to start a new process before the\s+current process"
        ),
        cause="The script starts processes while it is being imported by them.",
        action="Put what it does under `if __name__ == '__main__':`.",
    ),
    Fault(
        code="checkpoint_mismatch",
        patterns=words(r"Error\(s\) in loading state_dict for (?P<model>\w+)"),
        cause="The saved weights do not fit the model {model}.",
        action="Build the model with the parameters that it was trained with, or give the model that "
        "belongs to this code.",
    ),
    Fault(
        code="weights_only",
        patterns=words(
            r"Weights only load failed(?s:.){0,2000}?Unsupported (?:global|class)",
        ),
        cause="The model holds more than weights, which PyTorch loads only when it is told to.",
        action="Save its `state_dict()`, or, if you trust the file, load it with "
        "`weights_only=False`.",
    ),
    Fault(
        code="model_unreadable",
        patterns=words(
            raises("UnpicklingError|BadZipFile"),
            raises("EOFError", "Ran out of input"),
            r"PytorchStreamReader failed|HeaderTooLarge|MetadataIncompleteBuffer",
            raises("ValueError", "This file contains pickled"),
        ),
        cause="A model or data file is incomplete, or of another format than the program expects.",
        action="Look at its size and format; save or upload it again.",
    ),
    Fault(
        code="shape_mismatch",
        patterns=words(
            r"mat1 and mat2 shapes cannot be multiplied|The size of tensor a \(\d+\) must match"
            r"|operands could not be broadcast together|has a mismatch in its core dimension"
            r"|Given groups=\d+, weight of size|is incompatible with the layer: expected"
        ),
        cause="The data have another shape than the model expects.",
        action="Print the shapes before that line; compare size and channels with the training's.",
    ),
    Fault(
        code="dtype_mismatch",
        patterns=words(
            raises("RuntimeError", r"expected scalar type (?P<what>\w+ but found \w+)"),
            raises("RuntimeError", r"[^\n]*same dtype, but got:? (?P<what>[^\n]+)"),
            raises("RuntimeError", r"expected target dtype to be (?P<what>[^\n]+)"),
        ),
        cause="The data have another type of numbers than the model expects: {what}.",
        action="Convert them (`.float()`, `.long()`), best where they are read.",
    ),
    Fault(
        code="label_out_of_range",
        patterns=words(
            raises("IndexError", r"(?P<what>Target -?\d+ is out of bounds)"),
            raises("IndexError", r"(?P<what>index out of range in self)"),
        ),
        cause="A label or token is beyond what the model has: {what}.",
        action="Count classes or words in the data and give the model as many; labels begin at 0.",
    ),
    Fault(
        code="database_locked",
        patterns=words(raises("OperationalError", "database is locked")),
        cause="Another process writes the same SQLite database.",
        action="Let one process write at a time, or give each its own file in an output folder.",
    ),
    Fault(
        code="kernel_missing",
        patterns=words(r"NoSuchKernel: No such kernel named (?P<kernel>[^\n]+)"),
        cause="The notebook wants the kernel {kernel!r}, which the environment does not have.",
        action="Choose a kernel that is there and save the notebook, or install it in `image.runs`.",
    ),
    Fault(
        code="syntax_error",
        reads_code=True,
        patterns=words(
            r'File "(?:[^"]*/)?(?P<file>[^"/]+)", line (?P<line>\d+)\n[^\n]*\n(?:[ ~^]*\n)?(?P<what>(?:Syntax|Indentation|Tab)Error: [^\n]+)'
        ),
        cause="{file}, line {line}, is not valid Python: {what}.",
        action="Mend that line and submit again.",
    ),
)
