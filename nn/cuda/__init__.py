"""nn.cuda: the same kernels on a GPU, if there is one and `python csrc/build.py --cuda` has been run.

    nn.cuda.is_available(), nn.cuda.why_not()          None, or one sentence
    with nn.kernels.use("cuda"): qgemm(a, b)           arrays cross for each call
    x = nn.cuda.to_device(a); y = qgemm(x, w)          what gets arrays of the device runs there
    z = np.maximum(y * 2 + 1, 0)                       what NumPy does number by number, in one launch
    y.numpy()                                          the way back
    nn.cuda.emulate()                                  no GPU: the same sources, run on the CPU and looked at

Nothing of this is needed by anything else, and importing it starts no device.
"""

from importlib import import_module
from pkgutil import iter_modules

from . import kernels
from .array import DeviceArray, constant, copy_speed, empty, empty_cache, memory, to_device
from .device_kernel import DEVICE_KERNELS, DeviceKernel, DeviceOperand, on_device
from .elementwise import OnlyOnHost, count_not_finite
from .graph import Graph
from .library import CudaError, EmulationError, OutOfMemory, emulate, is_available, library, why_not
from .stream import Event, Stream, mark, synchronize
from .trial import Trial, nothing

for _found in iter_modules(kernels.__path__):
    import_module(f"{kernels.__name__}.{_found.name}")

__all__ = ["DEVICE_KERNELS", "CudaError", "DeviceArray", "DeviceKernel", "DeviceOperand", "EmulationError",
           "Event", "Graph", "OnlyOnHost", "OutOfMemory", "Stream", "Trial", "constant", "copy_speed",
           "count_not_finite", "empty", "empty_cache", "emulate", "is_available", "library", "mark", "memory",
           "nothing", "on_device", "synchronize", "to_device", "why_not"]
