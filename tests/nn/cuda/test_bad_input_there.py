"""Bad arguments that lie on the device are refused as those of NumPy are: the same errors, word for word."""

import numpy as np
import pytest

from nn import cuda, kernels
from tests.nn.kernels.test_bad_input import BAD, GOOD

ROWS = [(kernel, argument) for kernel, argument in BAD if kernel in cuda.DEVICE_KERNELS and argument != "out"]


def there(x):
    """An array on the device, where it can lie there."""
    plain = type(x) is np.ndarray and x.dtype.kind in "fiub" and x.dtype.isnative
    return cuda.constant(x) if plain else x


def said(kernel, arguments):
    """The error of a call."""
    with pytest.raises((TypeError, ValueError)) as raised:
        getattr(kernels, kernel)(**arguments)
    return type(raised.value), str(raised.value)


@pytest.mark.parametrize(("kernel", "argument"), ROWS)
def test_bad_arguments(device, kernel, argument):
    good = {name: there(x) for name, x in GOOD[kernel].items()}
    for _, value, _ in BAD[kernel, argument]:
        assert said(kernel, good | {argument: there(value)}) == said(kernel, GOOD[kernel] | {argument: value})
