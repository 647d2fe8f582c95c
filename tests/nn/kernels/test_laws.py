"""Every kernel × every variant that can run here, each case held to every law; one tile more of a family that
was tried with another kernel, in the profiles of many examples."""

import pytest
from hypothesis import settings

from nn import kernels
from nn.testing import memory
from nn.testing.check import holds, implementations, laws_for
from nn.testing.laws import all_of
from tests.nn.kernels.borrowed import each

EVERYTHING = [f for kernel in kernels.all_kernels() for f in implementations(kernel)]


@pytest.mark.parametrize("f", each(EVERYTHING))
def test_laws(f):
    holds(all_of(laws_for(f)), f)


@pytest.mark.skipif(memory.why_not() is not None, reason=memory.why_not() or "")
@pytest.mark.parametrize("f", each(EVERYTHING))
def test_stays_inside_its_memory(f):
    memory.stays_inside(f, settings().max_examples // 3)    # each example is a process of its own
