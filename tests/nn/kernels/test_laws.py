"""Every kernel × every variant that can run here × every law; one tile more of a family that was tried with
another kernel, in the profiles of many examples."""

import pytest
from hypothesis import settings

from nn import kernels
from nn.testing import memory
from nn.testing.check import holds, implementations, laws_for
from tests.nn.kernels.borrowed import each, marks

EVERYTHING = [f for kernel in kernels.all_kernels() for f in implementations(kernel)]


@pytest.mark.parametrize(("f", "law"), [
    pytest.param(f, law, id=f"{f.name}-{law.__name__}", marks=marks(f))
    for f in EVERYTHING for law in laws_for(f)])
def test_law(f, law):
    holds(law, f)


@pytest.mark.skipif(memory.why_not() is not None, reason=memory.why_not() or "")
@pytest.mark.parametrize("f", each(EVERYTHING))
def test_stays_inside_its_memory(f):
    memory.stays_inside(f, settings().max_examples // 3)    # each example is a process of its own
