"""sign_bits on the device (csrc/cuda/sign_bits.cu)."""

from ...kernels import sign_bits
from ..array import DeviceArray
from ..device_kernel import Call, on_device


@on_device(sign_bits, "warp")
def _sign_bits(call: Call, out: DeviceArray, x: DeviceArray) -> None:
    call("nn_cuda_sign_bits", *x.shape, x, out)
