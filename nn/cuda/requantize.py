"""What happens to sums of products of integers before they are stored, as csrc/cuda/requantize.h knows it."""

from typing import Any

import numpy as np

from ..kernels.fixed_point import multiplier_of
from ..kernels.requantization import RANGE
from .array import DeviceArray, to_device, vector
from .device_kernel import Call

KINDS = {np.dtype("i4"): 0, np.dtype("u1"): 1, np.dtype("i1"): 2}


class Requantize:
    """What the kernels read of bias, scale and codes; `c` for the library. out: the result, whose dtype says
    what the sums become. The attributes are those of qgemm."""

    def __init__(self, call: Call, out: DeviceArray, bias: DeviceArray | None, scale: Any, out_zero: int,
                 clip: tuple[int, int] | None, rounding: str) -> None:
        low, high = clip or RANGE.get(out.dtype, (0, 0))
        self.kept: dict[str, DeviceArray] = {}  # alive as long as this is
        if bias is not None:
            self.kept["bias"] = bias
        if scale is not None and rounding == "fixed-point":
            values = scale if not isinstance(scale, DeviceArray) else (
                scale.numpy() if scale.host is None else scale.host)
            found = multiplier_of(np.broadcast_to(values, out.shape[-1:]))
            self.kept |= {name: to_device(x.astype(np.int32))
                          for name, x in zip(("multiplier", "shift"), found, strict=True)}
        elif isinstance(scale, DeviceArray):
            self.kept["scale"] = vector(scale, len(scale), np.float32)
        one = 0 if scale is None or self.kept.keys() & {"scale", "multiplier"} else float(scale)
        self.c = call.library.ffi.new("nn_cuda_requantize *", {
            **{name: x.pointer for name, x in self.kept.items()}, "one_scale": one, "kind": KINDS[out.dtype],
            "out_zero": out_zero, "low": low, "high": high})
