"""Every kernel × every variant that can run here × every law."""

import pytest
from hypothesis import settings

from nn import kernels
from nn.testing import memory
from nn.testing.check import holds, implementations, laws_for

EVERYTHING = [f for kernel in kernels.all_kernels() for f in implementations(kernel)]


@pytest.mark.parametrize(("f", "law"), [pytest.param(f, law, id=f"{f.name}-{law.__name__}")
                                        for f in EVERYTHING for law in laws_for(f)])
def test_law(f, law):
    holds(law, f)


@pytest.mark.skipif(memory.why_not() is not None, reason=memory.why_not() or "")
@pytest.mark.parametrize("f", EVERYTHING, ids=lambda f: f.name)
def test_stays_inside_its_memory(f):
    memory.stays_inside(f, settings().max_examples // 2)    # each example is a process of its own
