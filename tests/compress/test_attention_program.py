"""Attention in Programs: a line of its own, on the kernel, whatever the mask."""

import numpy as np
import pytest

import compress
import nn
from compress import Quantize
from compress.program.call import Call
from compress.program.program import Program
from compress.program.value import ProgramError, Value
from nn import functional as F
from nn.sizes import Size

RNG = np.random.default_rng(0)
MASKS = {"none": None, "booleans": np.tri(5, 6, dtype=bool), "of keys": RNG.random((1, 6)) < 0.5,
         "floats": RNG.standard_normal((3, 5, 6)).astype(np.float32), "nothing": np.zeros((5, 6), bool)}


class Attends(nn.Module):
    """Attention of the first input to the second; how: as F.scaled_dot_product_attention has it."""

    def __init__(self, **how):
        self.how = how

    def forward(self, q, k, *mask):
        mask = mask[0] if mask else self.how.get("attn_mask")
        return F.scaled_dot_product_attention(q, k, k * 2, mask, scale=self.how.get("scale"),
                                              is_causal=self.how.get("is_causal", False))


def arrays(*lead):
    return tuple(RNG.standard_normal((*lead, n, 4)).astype(np.float32) for n in (5, 6))


def converted(model, x, tmp_path):
    program = compress.convert(model, x)
    compress.save(program, tmp_path / "program")
    return compress.load(tmp_path / "program")


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("lead", [(2,), (2, 3)])
def test_masks_are_constants_or_values(name, lead, tmp_path):
    x, mask = arrays(*lead), MASKS[name]
    if lead == (2,) and mask is not None and mask.ndim == 3:
        mask = mask[:1]
    model = Attends(attn_mask=mask, scale=0.3)
    want = model(*map(nn.Tensor, x)).data
    program = converted(model, x, tmp_path)
    assert "= attention(" in str(program)
    assert "numpy: scaled" not in str(program)
    np.testing.assert_allclose(program(*x), want, rtol=1e-5, atol=1e-6)
    assert "scale 0.3" in str(program)
    if mask is not None and mask.dtype == np.float32:
        given = (*x, np.broadcast_to(mask, (*lead, 5, 6)).copy())
        program = converted(Attends(), given, tmp_path)
        assert "= attention(" in str(program)
        want = Attends()(*map(nn.Tensor, given)).data
        np.testing.assert_allclose(program(*given), want, rtol=1e-5, atol=1e-6)


def test_a_causal_one_says_so_and_neighbours_stay_quantized(tmp_path):
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, rng=np.random.default_rng(0)).eval()
    x = RNG.standard_normal((4, 5, 8)).astype(np.float32)
    compress.prepare(model, Quantize(), x)
    program = converted(model, x, tmp_path)
    assert "= attention(" in str(program)
    assert program.constants["linear1.weight"].kind == "int8"
    pair = arrays(2, 3)
    causal = converted(Attends(is_causal=True), (pair[1], pair[1]), tmp_path)
    assert ", causal)" in str(causal)
    want = Attends(is_causal=True)(nn.Tensor(pair[1]), nn.Tensor(pair[1])).data
    np.testing.assert_allclose(causal(pair[1], pair[1]), want, rtol=1e-5, atol=1e-6)


def test_other_shapes_run_the_rule():
    """One that broadcasts over heads, and one of five axes."""
    for shapes in (((2, 5, 4), (2, 3, 6, 4)), ((2, 1, 3, 5, 4), (2, 1, 3, 6, 4))):
        x = tuple(RNG.standard_normal(shape).astype(np.float32) for shape in shapes)
        if shapes[0] == (2, 5, 4):
            x = (x[0][:, None], x[1])
        program = compress.convert(Attends(), x)
        assert "numpy: scaled_dot_product_attention(" in str(program)
        want = Attends()(*map(nn.Tensor, x)).data
        np.testing.assert_allclose(program(*x), want, rtol=1e-5, atol=1e-6)


SHAPES = {"q": ("N", 5, 4), "k": ("N", 6, 4), "v": ("N", 6, 3)}


@pytest.mark.parametrize(("changed", "attributes", "said"), [
    ({"k": ("N", 6, 3)}, {}, r"do not fit"), ({"v": ("N", 5, 3)}, {}, r"do not fit"),
    ({"mask": ("N", 6, 5)}, {}, r"a mask of float32"), ({}, {"causal": 1}, r"causal must be"),
    ({}, {"scale": "x"}, r"scale must be"), ({"mask": (1, 1, 1, 1, 1)}, {}, r"a mask of"),
    ({"mask": ("N", 5, 6), "more": ("N", 5, 6)}, {}, r"takes 3 inputs")])
def test_a_program_that_is_wrong_is_refused(changed, attributes, said):
    inputs = {name: Value("float32", tuple(Size(n) if n == "N" else n for n in shape))
              for name, shape in (SHAPES | changed).items()}
    call = Call("attention", tuple(inputs), "y", {}, attributes)
    with pytest.raises(ProgramError, match=said):
        Program("wrong", inputs, {"y": "y"}, [call], {}, {})
