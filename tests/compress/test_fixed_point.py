"""A Program that requantises in fixed point: simulated in training, printed, saved, loaded, run."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

import compress
import nn
from compress.formats.affine import Symmetric
from compress.formats.format import FORMATS
from compress.program.value import ProgramError
from compress.stored import STORED
from nn import functional as F
from tests.compress.networks import networks
from tests.compress.simulation import integers

FIXED = compress.Quantize(rounding="fixed-point")


def prepared(recipe, seed=0):
    """A small network with a clip, a group and a filter for each channel, and its inputs."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, rng=rng), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8, rng=rng), nn.ReLU(),
        nn.Conv2d(8, 8, 1, groups=2, rng=rng), nn.Flatten(), nn.Linear(128, 20, rng=rng), nn.ReLU(),
        nn.Linear(20, 5, rng=rng))
    x = rng.normal(size=(40, 2, 6, 6)).astype(np.float32)
    compress.prepare(model, recipe, x)
    return model, x


@given(networks())
def test_the_program_has_the_integers_of_gemmlowp(drawn):
    if not drawn.layers():
        return
    compress.prepare(drawn.model, FIXED, drawn.example)
    program = compress.convert(drawn.model)
    for name, (wanted, got) in integers(drawn.model, program, drawn.x).items():
        np.testing.assert_array_equal(got, wanted, err_msg=name)


def test_what_is_simulated_in_training_is_what_runs():
    model, x = prepared(FIXED)
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(nn.Tensor(x)), np.arange(40) % 5).backward()
        optimizer.step()
    model.eval()
    with nn.no_grad():
        simulated = model(nn.Tensor(x)).data
    np.testing.assert_array_equal(simulated, compress.convert(model)(x))


def test_it_is_printed_saved_and_loaded(tmp_path):
    model, x = prepared(FIXED)
    program = compress.convert(model)
    assert [call.attributes.get("rounding") for call in program.calls if "weight" in call.constants] == [
        *["fixed-point"] * 4, None]    # the last layer's sums become reals
    assert str(program).count("fixed-point") == str(program.bound).count("fixed-point") == 4
    compress.save(program, tmp_path / "program")
    loaded = compress.load(tmp_path / "program")
    assert str(loaded) == str(program)
    np.testing.assert_array_equal(loaded(x), program(x))


def test_a_few_integers_differ_from_those_of_the_float_scale_by_one():
    (model, x), (other, _) = prepared(FIXED), prepared(compress.Quantize())
    program, usual = compress.convert(model), compress.convert(other)
    first = next(call.output for call in program.calls if "weight" in call.constants)
    got, plain = (one.every_value(x)[first].astype(int) for one in (program, usual))
    assert np.abs(got - plain).max() <= 1
    assert "fixed-point" not in str(usual)
    assert np.abs(program(x) - usual(x)).max() < 0.05 * np.abs(usual(x)).max()


def test_layers_round_as_their_recipe_says():
    model, _ = prepared({"*": compress.Quantize(), "2": FIXED})
    calls = {call.constants["weight"]: call for call in compress.convert(model).calls if call.constants}
    assert [name for name, call in calls.items() if "rounding" in call.attributes] == ["2.weight"]


def rebuilt(program, **changes):
    """The Program with other calls or constants."""
    names = "name", "inputs", "outputs", "calls", "constants", "grids"
    parts = {name: getattr(program, name) for name in names}
    return compress.Program(**(parts | changes))


def test_scales_that_fixed_point_can_not_say():
    """Below 2⁻³² all sums become 0, and the least there is stands for them; more than 2²⁹ is refused."""
    model, x = prepared(FIXED)
    program = compress.convert(model)
    weight = program.constants["0.weight"]
    (first,) = [call.output for call in program.calls if call.constants.get("weight") == "0.weight"]
    codes = np.rint(weight.decode() / weight.scale.reshape(-1, 1, 1, 1))

    def scaled(factor):
        stored = weight.format.stored(codes.astype(np.int8), weight.scale * np.float32(factor))
        return rebuilt(program, constants=program.constants | {"0.weight": stored})

    made = scaled(2.0**-60)
    assert set(made.every_value(x)[first].flat) == {made.values[first].grid.zero}
    with pytest.raises(ProgramError, match=r"more than 2\^29, the most that fixed-point rounding takes"):
        scaled(2.0**60)


@pytest.mark.parametrize(("which", "rounding", "error"), [
    (slice(None), "up", "rounding must be one of float, fixed-point; got 'up'"),
    (slice(None), 3, "rounding must be of the kind text; got 3"),
    (slice(-1, None), "fixed-point", "rounding is of sums of integers that go to a grid")], ids=str)
def test_a_rounding_that_makes_no_sense_is_refused(which, rounding, error):
    program = compress.convert(prepared(FIXED)[0])
    calls = [*program.calls]
    for i in range(len(calls))[which]:
        if "weight" in calls[i].constants:
            calls[i] = replace(calls[i], attributes=calls[i].attributes | {"rounding": rounding})
    with pytest.raises(ProgramError, match=error):
        rebuilt(program, calls=calls)


def test_what_quantize_refuses(monkeypatch):
    for bad in ("up", None, 3):
        with pytest.raises(ValueError, match="Quantize: rounding must be one of float, fixed-point; got"):
            compress.Quantize(rounding=bad)
    for registry in (FORMATS, STORED):    # of this test alone
        for name in ("int4", "int4-masked"):
            monkeypatch.setitem(registry, name, None)
            monkeypatch.delitem(registry, name)
    with pytest.raises(ValueError, match="rounding is of sums of integers; int4 weights multiply reals"):
        compress.Quantize(weights=Symmetric("int4", bits=4), rounding="fixed-point")
    assert repr(FIXED) == "Quantize(bits=8, rounding='fixed-point')"
