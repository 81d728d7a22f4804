"""GPUs, as CUDA and the frameworks on it tell it.

Texts: PyTorch's c10/cuda and torch/serialization.py, TensorFlow's BFC allocator, NCCL's headers.
"""

from __future__ import annotations

from kpl_lab.platform.domain.faults.entry import (
    ADMIN,
    BUILD,
    PASSES,
    Fault,
    raises,
    words,
)

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="cuda_out_of_memory",
        patterns=words(
            r"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|OutOfMemoryError: CUDA"
            r"|CUDA error: out of memory|CUDNN_STATUS_ALLOC_FAILED|CUBLAS_STATUS_ALLOC_FAILED",
            r"OOM when allocating tensor[^\n]*GPU",
            r"cupy\.cuda\.memory\.OutOfMemoryError: ",
        ),
        cause="The GPU's own memory was too small for the model and its batches.",
        action="Use smaller batches or a smaller model, or a GPU with more memory.",
    ),
    Fault(
        code="cuda_driver_old",
        patterns=words(
            raises(
                r"\w*Error",
                r"[^\n]*(?:driver on your system is too old|driver version is insufficient)",
            ),
        ),
        who="admin",
        cause="The machine's GPU driver is older than the CUDA version that the program was built "
        "for.",
        action="Install a build for an older CUDA version, or ask an administrator for a newer "
        "driver.",
        usual_duration=BUILD,
    ),
    Fault(
        code="cuda_driver_broken",
        patterns=words(
            r"Driver/library version mismatch",
            r"unsupported display driver / cuda driver combination",
            r"forward compatibility was attempted on non supported HW",
        ),
        who="admin",
        cause="The GPU driver and its libraries on this machine do not fit together.",
        action="An administrator restarts the machine after the driver's update, or installs it anew.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="cuda_busy",
        patterns=words(r"CUDA-capable devices?(?:\(s\))? (?:is/are|are) busy or unavailable"),
        who="admin",
        cause="The GPU is taken by another program, or left in use by one that has ended.",
        action="Try again in a few minutes; if it stays, an administrator looks who uses it "
        "(`nvidia-smi`).",
        usual_duration=PASSES,
    ),
    Fault(
        code="cuda_wrong_gpu",
        patterns=words(r"no kernel image is available for execution on the device"),
        cause="The framework was not built for the kind of GPU that this machine has.",
        action="Install a build of it that names this GPU's architecture.",
        usual_duration=BUILD,
    ),
    Fault(
        code="cuda_not_built",
        patterns=words(r"Torch not compiled with CUDA enabled|doesn't have NCCL built in"),
        cause="The environment has a framework without GPU support.",
        action="Install its CUDA build in `image.runs`, or let the program run on the CPU.",
        usual_duration=BUILD,
    ),
    Fault(
        code="cuda_checkpoint",
        patterns=words(r"Attempting to deserialize object on a CUDA"),
        cause="The model was saved on a GPU, and here is none to load it on.",
        action="Load it with `map_location='cpu'`, or ask for a GPU in `resource.limits.gpu`.",
    ),
    Fault(
        code="cuda_unavailable",
        patterns=words(
            r"No CUDA GPUs are available|Found no NVIDIA driver|no CUDA-capable device is detected"
            r"|CUDA_ERROR_NO_DEVICE",
            r"libcuda\.so\.1: cannot open shared object file",
        ),
        cause="The program wants a GPU, but it was given none that it can use.",
        action="Ask for a GPU in `resource.limits.gpu`, or let the program run on the CPU.",
    ),
    Fault(
        code="cuda_too_many",
        patterns=words(
            r"CUDA error: invalid device ordinal|Attempting to deserialize object on CUDA device \d"
        ),
        cause="The program uses more GPUs than it was given.",
        action="Count them at run time (`torch.cuda.device_count()`), or ask for more in "
        "`resource.limits.gpu`.",
    ),
    Fault(
        code="cuda_assert",
        patterns=words(r"device-side assert triggered"),
        cause="A check on the GPU failed, mostly a label or an index beyond its range.",
        action="Run it once on the CPU, or with the variable CUDA_LAUNCH_BLOCKING=1: then the "
        "traceback names the line.",
    ),
    Fault(
        code="cudnn_failed",
        patterns=words(
            r"cuDNN error: (?P<what>CUDNN_STATUS_\w+)", r"(?P<what>CUDNN_STATUS_NOT_INITIALIZED)"
        ),
        cause="cuDNN could not work on the GPU: {what}.",
        action="Use smaller batches, and check that cuDNN, CUDA and the framework fit together.",
        usual_duration=BUILD,
    ),
    Fault(
        code="nccl_failed",
        patterns=words(
            r"NCCL error in: [^\n]*",
            r"nccl(?:System|Remote|Internal|UnhandledCuda)Error",
            r"Watchdog caught collective operation timeout",
        ),
        cause="The processes of the training lost one another on the GPUs.",
        action="Look for the rank that failed first; give it more shared memory; set the variable "
        "NCCL_DEBUG=INFO to see more.",
    ),
    Fault(
        code="devices_mixed",
        patterns=words(r"Expected all tensors to be on the same device"),
        cause="Some of the tensors are on the GPU, others on the CPU.",
        action="Move model and data to the same device (`.to(device)`).",
    ),
)
