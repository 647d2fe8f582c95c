"""An int8 weight in its two stored forms: the same integers, the fewer bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress.formats.affine import INT8
from compress.formats.quantized import smallest_form
from compress.stored import STORED
from compress.testing.laws_stored import product

QuantizedWeight, MaskedWeight = STORED["int8"], STORED["int8-masked"]


@st.composite
def integers(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(1, 1), (3, 5), (4, 2, 3, 3), (7, 9)]))
    q = rng.integers(-127, 128, shape).astype(np.int8)
    q[rng.random(shape) < draw(st.sampled_from([0, 0.05, 0.125, 0.2, 0.9, 1]))] = 0
    return q, rng.uniform(1e-3, 1, shape[0]).astype(np.float32)


@given(integers())
def test_both_forms_are_the_same_weight(made):
    q, scale = made
    dense, masked = QuantizedWeight(q, scale), MaskedWeight(q, scale)
    np.testing.assert_array_equal(dense.decode(), masked.decode())
    again = MaskedWeight.from_arrays(masked.arrays(), q.shape)
    np.testing.assert_array_equal(again.codes(), dense.codes())
    x = np.linspace(-1, 1, 2 * dense.codes().shape[1], dtype=np.float32).reshape(2, -1)
    np.testing.assert_array_equal(product(dense, x), product(again, x))


@given(integers())
def test_the_smaller_one_is_taken(made):
    q, scale = made
    payload = {
        form: sum(a.nbytes for a in form(q, scale).arrays().values())
        for form in (QuantizedWeight, MaskedWeight)
    }
    assert payload[type(smallest_form(q, scale, INT8))] == min(payload.values())


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("mask", lambda a: a[:-1]),
        ("mask", lambda a: a.astype(np.int8)),
        ("mask", lambda a: a | np.uint8(1)),  # a weight beyond the last
        ("values", lambda a: a[:-1]),
        ("values", lambda a: 0 * a),
        ("values", lambda a: a.astype(np.int16)),
        ("scale", lambda a: -a),
    ],
    ids=["short mask", "signed mask", "a bit too many", "short", "zeros", "wide", "negative scale"],
)
def test_parts_that_do_not_fit_are_refused(part, wrong):
    q = np.zeros((3, 5), np.int8)
    q[0, 1] = q[2, 3] = 7
    arrays = MaskedWeight(q, np.ones(3, np.float32)).arrays()
    arrays[part] = wrong(arrays[part])
    with pytest.raises(ValueError, match=r"weight \(3, 5\)"):
        MaskedWeight.from_arrays(arrays, q.shape)


def test_pruned_and_quantized_is_smaller_than_either_and_loads_again(tmp_path):
    x = nn.data.digits().x_train[:64]
    sizes = {}
    for name, recipe in {
        "int8": compress.Quantize(),
        "pruned": compress.Prune(0.9),
        "both": [compress.Prune(0.9), compress.Quantize()],
    }.items():
        model = nn.models.digits_cnn(rng=np.random.default_rng(0))
        program = compress.convert(compress.prepare(model, recipe, x))
        sizes[name] = compress.save(program, tmp_path / name)
        np.testing.assert_array_equal(compress.load(tmp_path / name)(x), program(x))
    assert sizes["both"] < 0.6 * sizes["pruned"] < sizes["int8"]
