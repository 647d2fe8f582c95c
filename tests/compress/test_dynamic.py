"""Activations quantized inside of the call: the scale is that of this very row, or image."""

import numpy as np
import pytest

import compress
import nn
from compress.formats.format import format_named
from compress.program.call import Call
from compress.program.program import Program
from nn.rules import RULES

RNG = np.random.default_rng(0)
LAYERS = {"linear": (nn.Linear(20, 12), (20,)), "rows": (nn.Linear(20, 12), (3, 20)),
          "conv2d": (nn.Conv2d(4, 6, 3, padding=1, stride=2), (4, 7, 6)),
          "pointwise": (nn.Conv2d(4, 6, 1, bias=False), (4, 5, 5)),
          "grouped": (nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5)),
          "depthwise": (nn.Conv2d(4, 4, 3, groups=4, padding=1, dilation=2), (4, 7, 7))}


def drawn(shape, n=9, seed=1):
    """Rows of very different sizes."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, *shape)) * 10 ** rng.uniform(-3, 3, (n, *[1] * len(shape)))).astype("f4")


def converted(layer, shape, **how):
    model = nn.Sequential(layer).eval()
    layer.weight.parametrization = None
    compress.prepare(model, compress.Quantize(**{"activations": "int8-dynamic", **how}), drawn(shape))
    return model, compress.convert(model)


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_the_sums_are_those_of_the_formula_integer_for_integer(name, bits):
    """In the axes of the network: nothing of the Program's layouts and kernels is used."""
    layer, shape = LAYERS[name]
    model, program = converted(layer, shape, bits=4, activations=f"int{bits}-dynamic")
    x, highest = drawn(shape), 2 ** (bits - 1) - 1
    axes = -1 if layer.weight.ndim == 2 else (1, 2, 3)
    s = np.abs(x).max(axis=axes, keepdims=True) / np.float32(highest)
    q = np.rint(x / s).astype(np.float64)
    assert np.abs(q).max() == highest
    weight = program.constants["0.weight"]
    column = weight.scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    q_w = np.rint(weight.decode() / column).astype(np.float64)
    (node,) = nn.trace(nn.Sequential(layer), x).nodes
    sums, _ = RULES[node.op].forward(q, q_w, None, **node.attrs)
    made = program.every_value(x)[f"{program.output.removesuffix('.turned')}.s32"]
    if x.ndim == 4:
        made = made.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(made, sums)
    b = np.zeros(len(q_w)) if layer.bias is None else layer.bias.data
    s_w, b = (one.reshape(-1, *[1] * (layer.weight.ndim - 2)) for one in (weight.scale, b))
    y = sums * s_w.astype(np.float64) * s + b
    np.testing.assert_allclose(program(x), y, rtol=1e-5, atol=1e-6 * np.abs(y).max())
    np.testing.assert_array_equal(model(nn.Tensor(x)).data, program(x))


@pytest.mark.parametrize("name", LAYERS)
def test_no_example_depends_on_the_others_of_its_batch(name):
    layer, shape = LAYERS[name]
    _, program = converted(layer, shape)
    x = drawn(shape)
    np.testing.assert_array_equal(program(x), np.concatenate([program(x[i:i + 1]) for i in range(len(x))]))
    assert program(x[:0]).shape[0] == 0


def test_no_example_is_needed_but_for_the_shapes():
    model = nn.Sequential(nn.Linear(20, 12, rng=RNG), nn.ReLU(), nn.Linear(12, 5, rng=RNG))
    x = drawn((20,))
    compress.prepare(model, compress.Quantize(activations="int8-dynamic"))
    program = compress.convert(model, np.zeros((1, 20), np.float32))
    assert program.grids == {}
    exact = model.eval()(nn.Tensor(x)).data
    assert np.all(np.abs(program(x) - exact) <= 0.02 * np.abs(exact).max(axis=1, keepdims=True))


def test_one_sees_where_the_scale_comes_from():
    model = nn.Sequential(nn.Linear(20, 12, rng=RNG), nn.ReLU()).eval()
    compress.prepare(model, compress.Quantize(activations="int8-dynamic"), drawn((20,)))
    program = compress.convert(model)
    (call,) = program.calls
    assert str(call) == "1 = linear(x, 0.weight, 0.bias, relu, activations int8-dynamic)"
    said = [" ".join(str(step).split()) for step in program.bind().steps]
    assert said == ["1.scale = largest(x, / 127 of each row)",
                    "1.codes = quantize(x, 1.scale, zero 128)",
                    "1.s32 = qgemm(1.codes, 0.weight, zero 128 → s32)",
                    "1 = dequantize(1.s32, 1.scale, 0.weight.scale, 0.bias, relu)"]


def test_it_comes_back_from_a_file_and_is_certified(tmp_path):
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, rng=RNG), nn.ReLU(), nn.Flatten(),
                          nn.Linear(48, 5, rng=RNG)).eval()
    compress.prepare(model, compress.Quantize(bits=4, activations="int8-dynamic"), drawn((2, 4, 4)))
    program, x = compress.convert(model), drawn((2, 4, 4), seed=2)
    compress.save(program, tmp_path / "p")
    np.testing.assert_array_equal(compress.load(tmp_path / "p")(x), program(x))
    certificate = compress.certify(program)
    certificate.check(32)
    assert set(certificate.layers) == {"0", "3"}
    spoiled = [Call(call.op, call.inputs, call.output, call.constants, {**call.attributes, **(
        {"activations": "uint8"} if call.op == "linear" else {})}) for call in program.calls]
    with pytest.raises(compress.ProgramError, match="activations must be a format whose scale is found"):
        Program(program.name, program.inputs, program.outputs, spoiled, program.constants)


def test_it_lies_between_layers_of_other_formats():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(20, 16, rng=rng), nn.ReLU(), nn.Linear(16, 16, rng=rng), nn.ReLU(),
                          nn.Linear(16, 5, rng=rng))
    recipe = {"0": compress.Quantize(), "2": compress.Quantize(activations="int8-dynamic"),
              "4": compress.Quantize(bits=4)}
    compress.prepare(model, recipe, drawn((20,)))
    program, x = compress.convert(model), drawn((20,), seed=3)
    np.testing.assert_array_equal(model.eval()(nn.Tensor(x)).data, program(x))
    assert set(program.grids) == {"x.u8", "3.u8"}


# What is hard to scale

@pytest.mark.parametrize("size", [0.0, 1e-42, 1e-38, 1e-30, 3e38])
def test_a_row_of_any_size_has_a_scale(size):
    form = format_named("int8-dynamic")
    x = np.float32([[size, -size / 2, 0], [1, 0, 0]])
    s = form.of_rows(x, (1,))
    codes = form.quantize(x, s, form.zero)
    assert codes[:, 2].tolist() == [128, 128]  # 0 is 0 with any scale
    back = form.dequantize(codes, s, form.zero)
    assert np.abs(back - x)[0].max() <= max(size / 250, 1e-38)
    assert (s > 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_have_no_scale(bad):
    model, program = converted(*LAYERS["linear"])
    x = drawn((20,))
    x[3, 4] = bad
    for run in (program, lambda x: model(nn.Tensor(x))):
        with pytest.raises(ValueError, match="x holds NaN or infinity; no integer stands for it"):
            run(x)


def test_what_has_no_grid_of_its_own_takes_no_rounding_and_no_ranges():
    with pytest.raises(ValueError, match="rounding is of sums of integers; int8-dynamic makes reals"):
        compress.Quantize(activations="int8-dynamic", rounding="fixed-point")
    with pytest.raises(ValueError, match="int8-dynamic are of the call"):
        compress.Quantize(activations="int8-dynamic", ranges="mse")
    with pytest.raises(ValueError, match="no kernel multiplies int4-block32 weights by int8-dynamic"):
        compress.Quantize(weights="int4-block32", activations="int8-dynamic")


# Training

def test_its_gradient_is_that_of_the_layer_at_the_rounded_row():
    layer, shape = nn.Linear(20, 12, rng=np.random.default_rng(5)), (20,)
    model, program = converted(layer, shape)
    x, g = drawn(shape), np.random.default_rng(2).standard_normal((9, 12)).astype(np.float32)
    given = nn.Tensor(x, requires_grad=True)
    (model.train()(given) * nn.Tensor(g)).sum().backward()
    s = np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
    seen = np.rint(x / s) * s
    np.testing.assert_allclose(layer.weight.grad, g.T @ seen, rtol=1e-4, atol=1e-4 * np.abs(x).max())
    np.testing.assert_allclose(given.grad, g @ program.constants["0.weight"].decode(), rtol=1e-4, atol=1e-5)


def test_a_network_of_integers_only_has_none_of_it():
    model = nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 5))
    compress.prepare(model, compress.Quantize(activations="int8-dynamic"), drawn((20,)))
    with pytest.raises(ValueError, match=r"linear in module '0': it reads reals, .* made of reals inside"):
        compress.convert(model, integer=True)
