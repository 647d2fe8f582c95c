"""A Program on a GPU, or on its emulation, computes what it computes on a CPU: integer for integer, and reals
within the rounding of sums."""


import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Cluster, Prune, Quantize
from nn import cuda
from nn.testing.networks import networks
from tests.compress.networks import close
from tests.compress.test_integer_networks import IMAGES, prepared
from tests.nn.cuda.conftest import built, device  # noqa: F401 -- fixtures

RECIPES = st.sampled_from([None, Quantize(), Prune(0.5), Cluster(2), Quantize(bits=4)])


def alike(program, bound, *x, exact):
    """Every value of a run, here and there."""
    here, there = program.every_value(*x), bound.every_value(*x)
    for name in here.keys() & there.keys():
        if exact or here[name].dtype.kind != "f":
            np.testing.assert_array_equal(there[name], here[name], err_msg=name)
        else:
            close(there[name], here[name])


@given(networks(), RECIPES)
def test_every_network_computes_there_what_it_computes_here(network, recipe):
    if recipe is not None:
        try:
            compress.prepare(network, recipe, network.inputs(6))
        except ValueError:  # it has no layer for that
            pass
    program = compress.convert(network, network.inputs(3))
    bound = program.bind("cuda", crossing=True)
    alike(program, bound, *network.inputs(3, seed=1), exact=False)
    for n in 4, 1, 0, 4:
        x = network.inputs(n, seed=n)
        close(bound(*x), program(*x))


@pytest.mark.parametrize("build", IMAGES)
def test_integers_are_the_same(build):
    model, x = prepared(build)
    program = compress.convert(model, integer=True)
    alike(program, program.bind("cuda", crossing=True), 1.3 * x[:3], exact=True)


def integer_program():
    model, x = prepared(IMAGES[0])
    return compress.convert(model, integer=True), x


def test_what_it_lacks_is_named_and_crosses_only_if_told():
    network = nn.Sequential(nn.Linear(4, 3, rng=np.random.default_rng(0)), nn.Softplus()).eval()
    x = np.ones((2, 4), np.float32)
    program = compress.convert(network, x)
    with pytest.raises(compress.ProgramError, match=r"numpy: softplus.*log1p is not computed on the device"):
        program.to("cuda")
    bound = program.bind("cuda", crossing=True)
    (line,) = (line for line in str(bound).splitlines() if "softplus" in line)
    assert line.endswith("crossing")
    np.testing.assert_allclose(bound(x), program(x), rtol=1e-6)


def test_what_shares_a_launch_is_said():
    class Steps(nn.Module):
        def forward(self, x):
            return nn.functional.relu(nn.functional.clamp(x, -1, 1) + x)

    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    program = compress.convert(Steps(), x)
    bound = program.to("cuda")
    assert "in one launch with" in str(bound).splitlines()[-1]
    np.testing.assert_array_equal(bound(x), program(x))
    profile = bound.profile(x, rounds=1)
    assert [step.seconds > 0 for step in profile.steps] == [False] * (len(profile.steps) - 1) + [True]


def test_numbers_that_no_integer_stands_for_are_refused():
    program, x = integer_program()
    bound, bad = program.bind("cuda", crossing=True), x[:2].copy()
    bad[1, 0, 3, 3] = np.nan
    with pytest.raises(ValueError, match="holds NaN or infinity; no integer stands for it"):
        bound(bad)
    np.testing.assert_array_equal(bound(x[:2]), program(x[:2]))


def test_no_operand_stays_in_memory_and_all_goes_back():
    program, x = integer_program()
    gc.collect()
    before = cuda.memory()["in_use"]
    bound = program.bind("cuda", crossing=True)
    arrays = [one for name, held in bound.held.items() if name not in bound.crossed for one in held]
    assert not any(isinstance(one, (np.ndarray, nn.kernels.Operand)) for one in arrays)
    operands = [one for one in arrays if isinstance(one, cuda.DeviceOperand)]
    assert operands
    assert not any(isinstance(part, cuda.DeviceArray) and part.host is not None
                   for one in operands for part in one.parts.values())
    assert bound.nbytes >= sum(one.nbytes for one in operands) > 0
    bound(x[:2])
    del bound, arrays, operands
    gc.collect()
    assert cuda.memory()["in_use"] == before


def test_a_target_that_nobody_knows():
    program, _ = integer_program()
    assert program.bound.target == "cpu"
    assert program.bind("cuda", crossing=True).target == "cuda"
    with pytest.raises(ValueError, match="target must be one of cpu, cuda; got 'tpu'"):
        program.bind("tpu")
