"""The device of these tests: a GPU under NN_REQUIRE_CUDA=1 (where none is, they fail), else the emulation."""

import fcntl
import os
import shutil
import tempfile

import pytest

from nn import cuda

ORDERS = ("forward", "reverse", "random")  # of a block's threads; on a GPU there is one, its own


@pytest.fixture(autouse=True, scope="session")
def device():
    """nn.cuda with a device, or a skipped test that says why there is none."""
    if os.environ.get("NN_REQUIRE_CUDA") == "1":
        assert cuda.why_not() is None, cuda.why_not()
        return cuda
    if shutil.which(os.environ.get("CXX") or "c++") is None:
        pytest.skip("no C++ compiler to build the emulation with")
    with open(os.path.join(tempfile.gettempdir(), f"espalier-emulation-{os.getuid()}"), "w") as one:
        fcntl.flock(one, fcntl.LOCK_EX)                        # of several processes one builds it
        cuda.emulate()
    return cuda


@pytest.fixture(params=ORDERS)
def order(request, device):
    """Each order in which the emulation runs a block's threads."""
    if not device.library().emulated:
        if request.param != ORDERS[0]:
            pytest.skip("a GPU has one order")
    else:
        device.emulate(request.param, seed=7)
    yield request.param
    if device.library().emulated:
        device.emulate()
