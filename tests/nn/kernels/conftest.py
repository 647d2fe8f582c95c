"""What several files of tests of kernels ask for."""

import pytest

from nn import kernels


@pytest.fixture(params=["numpy", "c"])
def backend(request):
    """The kernels run by their specifications, then in C."""
    if request.param == "c" and kernels.why_not_c():
        pytest.skip(kernels.why_not_c())
    with kernels.use(request.param):
        yield request.param
