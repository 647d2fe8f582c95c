"""The device of these tests: a GPU under NN_REQUIRE_CUDA=1 (where none is, they fail), else the emulation."""

import fcntl
import os
import shutil
import tempfile

import pytest

from nn import cuda

ORDERS = ("random", "forward", "reverse")  # of a block's threads; on a GPU there is one, its own


@pytest.fixture(scope="session")
def built():
    """The emulation, or why there is none."""
    if shutil.which(os.environ.get("CXX") or "c++") is None:
        return "no C++ compiler to build the emulation with"
    with open(os.path.join(tempfile.gettempdir(), f"espalier-emulation-{os.getuid()}"), "w") as one:
        fcntl.flock(one, fcntl.LOCK_EX)                        # of several processes one builds it
        with cuda.emulate():
            return None


@pytest.fixture(autouse=True)
def device(request):
    """nn.cuda with a device, or a skipped test that says why there is none. For other tests of this process
    there is none again: what a kernel can run is asked there, too."""
    if os.environ.get("NN_REQUIRE_CUDA") == "1":
        assert cuda.why_not() is None, cuda.why_not()
        yield cuda
    elif why := request.getfixturevalue("built"):
        pytest.skip(why)
    else:
        with cuda.emulate():
            yield cuda


@pytest.fixture(params=[ORDERS[0], *(pytest.param(order, marks=pytest.mark.long) for order in ORDERS[1:])])
def order(request, device):
    """Each order in which the emulation runs a block's threads."""
    if device.library().emulated:
        device.emulate(request.param, seed=7)
    elif request.param != ORDERS[0]:
        pytest.skip("a GPU has one order")
    return request.param
