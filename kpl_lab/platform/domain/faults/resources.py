"""Memory, shared memory, disks, processes and files: what the machine would not give.

Texts: the C library's strerror, CPython, bash and dash, PyTorch's torch/utils/data/_utils.
"""

from __future__ import annotations

import signal

from kpl_lab.platform.domain.faults.entry import ADMIN, AT_ONCE, BUILD, Fault, raises, words

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="shm_too_small",
        patterns=words(
            r"DataLoader worker \(pid \d+\) is killed by signal: Bus error",
            r"unable to (?:allocate shared memory\(shm\)|write to file) (?:for file )?</torch_",
            r"No space left on device: '/dev/shm/|/dev/shm/[^:\n]*'?: No space left on device",
        ),
        cause="The shared memory was too small for what the workers hand over.",
        action="Give it more in `resource.limits.shm`, or use fewer workers or smaller batches.",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="worker_killed",
        patterns=words(r"DataLoader worker \(pid \d+\) is killed by signal: Killed"),
        cause="A worker of the data loader was killed, mostly because memory ran short.",
        action="Use fewer workers or smaller batches, or start it again with more memory.",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="worker_died",
        patterns=words(
            r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:exited unexpectedly|is killed by signal)",
            raises("BrokenProcessPool|TerminatedWorkerError"),
        ),
        cause="A worker process of the program died without a word.",
        action="Let it run with no workers once (`num_workers=0`): then the error shows itself.",
    ),
    Fault(
        code="too_many_files",
        patterns=words(r"Too many open files"),
        cause="The program had too many files or connections open at a time.",
        action="Close what is read (`with open(…)`), or use fewer workers.",
    ),
    Fault(
        code="too_many_processes",
        patterns=words(
            r"can't start new thread",
            r"fork: (?:retry: )?Resource temporarily unavailable|\bCannot fork\b",
            r"BlockingIOError: \[Errno 11\] Resource temporarily unavailable",
            r"pthread_create failed|pthread_create: Resource temporarily unavailable",
        ),
        cause="The program started more processes or threads than it may have.",
        action="Use fewer workers, or set the variable OMP_NUM_THREADS to the number of its cores.",
    ),
    Fault(
        code="memory_error",
        patterns=words(
            raises("MemoryError"),
            r"_ArrayMemoryError: |Unable to allocate .* for an array",
            r"what\(\):\s+std::bad_alloc|virtual memory exhausted|Cannot allocate memory",
        ),
        cause="The program asked for more memory than it may have.",
        action="Start it again with more memory, or use smaller batches.",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="quota_exceeded",
        patterns=words(r"Disk quota exceeded|\[Errno 122\]"),
        cause="Your own share of the disk is used up.",
        action="Delete files that are no longer needed, or ask an administrator for a larger share.",
    ),
    Fault(
        code="no_space",
        patterns=words(r"No space left on device|\[Errno 28\]"),
        who="admin",
        cause="The disk had no room left for what the program wrote.",
        action="Delete what is no longer needed, write less, or ask an administrator for room.",
    ),
    Fault(
        code="storage_broken",
        patterns=words(r"\[Errno 5\] Input/output error|: Input/output error$|Stale file handle"),
        who="admin",
        cause="The disk or the network folder behind the files failed.",
        action="Try again; if it stays, an administrator has to look at the storage.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="recursion",
        patterns=words(raises("RecursionError")),
        cause="A function of the program calls itself without end.",
        action="Look at the function that the traceback repeats.",
    ),
    Fault(
        code="illegal_instruction",
        signal=signal.SIGILL,
        patterns=words(
            r"(?:^|\s)Illegal instruction\b",
            r"library was compiled to use [\w.]+ instructions, but these aren't available",
        ),
        is_weak=True,
        cause="A package uses instructions that this machine's processor does not have (such as "
        "AVX).",
        action="Install a version that was built for older processors, or use another machine.",
        usual_duration=BUILD,
    ),
    Fault(
        code="bus_error",
        signal=signal.SIGBUS,
        patterns=words(r"(?:^|\s)Bus error\b"),
        is_weak=True,
        cause="Memory that the program had mapped went away, mostly because the shared memory was "
        "too small.",
        action="Give it more in `resource.limits.shm`; do not shorten files that are in use.",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="segmentation_fault",
        signal=signal.SIGSEGV,
        patterns=words(r"(?:^|\s)Segmentation fault\b"),
        is_weak=True,
        cause="Compiled code of the program or of a package crashed (segmentation fault).",
        action="Set the variable PYTHONFAULTHANDLER=1 to see where, and check that the packages' "
        "versions fit together.",
        usual_duration=BUILD,
    ),
    Fault(
        code="division_trap",
        signal=signal.SIGFPE,
        patterns=words(r"(?:^|\s)Floating point exception"),
        is_weak=True,
        cause="Compiled code of the program or of a package divided by zero.",
        action="Set the variable PYTHONFAULTHANDLER=1 to see where.",
    ),
    Fault(
        code="child_killed",
        signal=signal.SIGKILL,
        patterns=words(r"(?:^|line \d+:\s+\d+ )Killed(?:\s|$)"),
        is_weak=True,
        cause="A process of it was killed, mostly because memory ran short.",
        action="Start it again with more memory, or use smaller batches.",
        usual_duration=AT_ONCE,
    ),
)

# Looked for after everything else that a crash may say of itself.
ABORTS: tuple[Fault, ...] = (
    Fault(
        code="native_exception",
        patterns=words(
            r"terminate called after throwing an instance of '(?P<name>[^'\n]+)'\n"
            r"\s*what\(\):\s+(?P<what>[^\n]+)"
        ),
        cause="Compiled code ended with an exception: {name}: {what}.",
        action="Search for that text in the documentation of the package.",
    ),
    Fault(
        code="aborted",
        signal=signal.SIGABRT,
        patterns=words(r"(?:^|line \d+:\s+\d+ )Aborted\b"),
        is_weak=True,
        cause="Compiled code of the program or of a package gave up (abort).",
        action="The lines above it in the log say why.",
    ),
)
