"""Every kernel of the device, each rung of it, held to the laws of its kernel on the CPU: the same cases."""

import pytest
from hypothesis import settings

from nn import cuda, kernels
from nn.testing.check import forced, holds, laws_for
from nn.testing.laws import all_of

RUNGS = [(kernel, rung) for kernel, device in sorted(cuda.DEVICE_KERNELS.items()) for rung in device.rungs]


@pytest.mark.parametrize(("name", "rung"), RUNGS)
def test_laws(name, rung, order):
    kernel = getattr(kernels, name)
    if f"{name}_cuda_{rung}" not in {v.name for v in kernel.variants()}:
        pytest.skip(f"{cuda.library().name} is too old for it")
    f = forced(kernel, f"{name}_cuda_{rung}")
    holds(all_of(laws_for(f)), f, max(2, settings().max_examples // 5))  # every access is looked at: slow
