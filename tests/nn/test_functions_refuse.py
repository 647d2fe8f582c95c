"""Bad input to functions and layers: one error that names the operation, what came and what was wanted."""

import numpy as np
import pytest

import nn
from nn import functional as F

one = np.ones
x, w = one((1, 2, 4, 4)), one((2, 3, 2, 2))
t = nn.Tensor(one((3, 4)))
tokens, attend = one((2, 3, 4)), nn.MultiheadAttention(4, 2)

REFUSED = [
    (ValueError, r"gelu: approximate is 'erf'", lambda: F.gelu(t, "erf")),
    (ValueError, "softplus: beta is 0", lambda: F.softplus(t, 0)),
    (ValueError, r"^maximum: .*\(3, 4\), \(3,\)", lambda: nn.maximum(t, one(3))),
    (TypeError, "where: the condition is float64, wanted booleans", lambda: nn.where(one((3, 4)), t, 0)),
    (ValueError, "clamp: min and max are both None", lambda: t.clamp()),
    (ValueError, r"einsum: 'ij,jk' speaks of 2 operands, but 1 came", lambda: nn.einsum("ij,jk", t)),
    (ValueError, r"einsum: in 'ij,jk'.*\(3, 4\), \(3, 4\)", lambda: nn.einsum("ij,jk", t, t)),
    (ValueError, r"einsum: the term 'ijk' .* \(3, 4\)", lambda: nn.einsum("ijk", t)),
    (ValueError, "einsum: the output 'ii'", lambda: nn.einsum("ij->ii", t)),
    (TypeError, "einsum: the equation is a int", lambda: nn.einsum(1, t)),
    (ValueError, r"stack: 2 tensors of shapes \(3, 4\), \(3,\) came", lambda: nn.stack([t, one(3)])),
    (ValueError, "stack: 0 tensors", lambda: nn.stack([])),
    (TypeError, "dropout: the input is int64", lambda: F.dropout(np.arange(3), 0.3)),
    (ValueError, "split: the lengths .* do not add up to the 3", lambda: t.split([1, 1])),
    (ValueError, "split: the length of a part is 0", lambda: t.split(0)),
    (ValueError, "chunk: chunks must be a whole number >= 1, got 0", lambda: t.chunk(0)),
    (IndexError, "index_select: the index goes from 0 to 3", lambda: t.index_select(0, [0, 3])),
    (TypeError, "scatter_add: src is 0.5", lambda: t.scatter_add(0, [0], 0.5)),
    (IndexError, r"gather: the index goes from -1 to 0", lambda: t.gather(0, np.array([[0, -1]]))),
    (TypeError, "gather: the index is float64", lambda: t.gather(0, one((1, 1)))),
    (ValueError, r"gather: the index has shape \(1,\)", lambda: t.gather(0, np.array([0]))),
    (ValueError, "scatter_add: the source", lambda: t.scatter_add(0, np.zeros((2, 2), int), one((1, 2)))),
    (IndexError, "embedding: indices from 0 to 9", lambda: F.embedding(np.array([0, 9]), t)),
    (TypeError, "embedding: the indices are float64", lambda: F.embedding(one(2), t)),
    (ValueError, "embedding: padding_idx is 3", lambda: F.embedding(np.array([0]), t, 3)),
    (ValueError, "pad: 3 widths came", lambda: F.pad(t, (1, 2, 3))),
    (ValueError, "pad: the widths .* leave nothing", lambda: F.pad(t, (-3, -2))),
    (ValueError, "pad: mode is 'mirror'", lambda: F.pad(t, (1, 1), "mirror")),
    (ValueError, "pad: reflect padding of 4 is too wide", lambda: F.pad(t, (4, 0), "reflect")),
    (TypeError, "pad: the widths", lambda: F.pad(t, (0.5, 1))),
    (ValueError, r"conv1d: x of shape \(3, 4\)", lambda: F.conv1d(t, one((1, 2, 3)))),
    (ValueError, r"conv_transpose2d: x .*\(1, 2, 4, 4\) .*\(3, 2, 2, 2\)",
     lambda: F.conv_transpose2d(x, one((3, 2, 2, 2)))),
    (ValueError, r"conv_transpose2d: the bias has shape \(2,\)", lambda: F.conv_transpose2d(x, w, one(2))),
    (ValueError, "conv_transpose2d: output_padding", lambda: F.conv_transpose2d(x, w, output_padding=1)),
    (ValueError, "conv_transpose2d: .* gives an image of", lambda: F.conv_transpose2d(x, w, padding=4)),
    (ValueError, r"max_pool1d: the input has shape \(3, 4\)", lambda: F.max_pool1d(t, 2)),
    (TypeError, "avg_pool1d: kernel_size is 'x'", lambda: F.avg_pool1d(one((1, 1, 4)), "x")),
    (ValueError, "avg_pool2d: divisor_override is 0", lambda: F.avg_pool2d(x, 2, divisor_override=0)),
    (ValueError, "max_pool2d: .* smaller than a window", lambda: F.max_pool2d(x, 3, dilation=2)),
    (ValueError, "adaptive_avg_pool2d: output_size", lambda: F.adaptive_avg_pool2d(x, 0)),
    (TypeError, "adaptive_max_pool2d: the input is int64", lambda: F.adaptive_max_pool2d(x.astype(int), 1)),
    (ValueError, r"layer_norm: .*\(3, 4\), wanted \(…, 3\)", lambda: F.layer_norm(t, (3,))),
    (ValueError, r"layer_norm: weight has shape \(3,\)", lambda: F.layer_norm(t, (4,), one(3))),
    (ValueError, "group_norm: .* a multiple of 3", lambda: F.group_norm(x, 3)),
    (ValueError, r"scaled_dot_product_attention: .*attn_mask \(3, 4\) do not fit.*a mask to \(…, L, S\)",
     lambda: F.scaled_dot_product_attention(tokens, tokens, tokens, one((3, 4)))),
    (ValueError, "scaled_dot_product_attention: .* do not fit: the axes before the last two must broadcast",
     lambda: F.scaled_dot_product_attention(tokens, one((3, 3, 4)), one((3, 3, 4)))),
    (ValueError, "scaled_dot_product_attention: scale must be .*finite, got nan",
     lambda: F.scaled_dot_product_attention(tokens, tokens, tokens, scale=float("nan"))),
    (TypeError, "attention: scale must be a number, got 'x'",
     lambda: F.scaled_dot_product_attention(tokens, tokens, tokens, scale="x")),
    (ValueError, r"scaled_dot_product_attention: query .*\(2, 3, 4\)",
     lambda: F.scaled_dot_product_attention(tokens, one((2, 3, 5)), tokens)),
    (ValueError, "attn_mask and is_causal both",
     lambda: F.scaled_dot_product_attention(tokens, tokens, tokens, one((3, 3)), is_causal=True)),
    (TypeError, "attn_mask is int64",
     lambda: F.scaled_dot_product_attention(tokens, tokens, tokens, one((3, 3), int))),
    (ValueError, "cross_entropy: classes from 0 to 4",
     lambda: F.cross_entropy(t, np.array([0, 4, 1]), label_smoothing=0.1)),
    (ValueError, "cross_entropy: label_smoothing is 2",
     lambda: F.cross_entropy(t, np.zeros(3, int), label_smoothing=2)),
    (ValueError, r"cross_entropy: weight has shape \(3,\), wanted \(4,\)",
     lambda: F.cross_entropy(t, np.zeros(3, int), one(3))),
    (TypeError, "nll_loss: classes are float64", lambda: F.nll_loss(t, one(3))),
    (ValueError, r"nll_loss: logits of shape \(3, 4\) do not fit", lambda: F.nll_loss(t, np.zeros(4, int))),
    (ValueError, r"l1: the input has shape \(3, 4\) and the target \(4,\)", lambda: F.l1_loss(t, one(4))),
    (ValueError, "kl_div: the input has shape", lambda: F.kl_div(t, one(4))),
    (ValueError, "huber_loss: delta is 0", lambda: F.huber_loss(t, t, delta=0)),
    (ValueError, "one_hot: classes from 0 to 5", lambda: F.one_hot(np.array([0, 5]), 3)),
    (TypeError, "logsumexp: the input is int64", lambda: nn.Tensor([1, 2]).logsumexp()),
    (ValueError, "std: 1 values and a correction of 1", lambda: nn.Tensor([1.0]).std()),
    (ValueError, "num_heads=3 must divide", lambda: nn.MultiheadAttention(4, 3)),
    (ValueError, r"wanted an input of shape \(L, N, 4\).*got \(2, 3, 5\)",
     lambda: attend(*[one((2, 3, 5))] * 3)),
    (ValueError, r"attn_mask has shape \(3, 3\)", lambda: attend(*[tokens] * 3, attn_mask=one((3, 3)))),
    (ValueError, "GroupNorm: num_groups=3", lambda: nn.GroupNorm(3, 4)),
    (ValueError, r"LayerNorm\(\(5,\).*got \(3, 4\)", lambda: nn.LayerNorm(5)(t)),
    (ValueError, "Embedding: padding_idx=5", lambda: nn.Embedding(5, 2, 5)),
    (ValueError, "Conv1d: kernel_size", lambda: nn.Conv1d(1, 1, (2, 2))),
    (ValueError, r"Conv1d\(1, 1.*\(N, 1, L\), got \(3, 4\)", lambda: nn.Conv1d(1, 1, 2)(t)),
    (ValueError, "KLDivLoss: reduction is", lambda: nn.KLDivLoss("average")),
    (ValueError, "GELU: approximate", lambda: nn.GELU("x")),
    (TypeError, "ModuleList: 0 must be a Module", lambda: nn.ModuleList([F.relu])),
    (ValueError, "activation must be", lambda: nn.TransformerEncoderLayer(4, 2, activation="x")),
]  # fmt: skip


@pytest.mark.parametrize(("error", "message", "call"), REFUSED, ids=[r[1][:40] for r in REFUSED])
def test_refused(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_new_layers_can_be_traced():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GELU(), nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(2),
        nn.ConvTranspose2d(4, 2, 2),
        nn.SiLU(), nn.Flatten(), nn.LayerNorm(18), nn.Linear(18, 3), nn.Softmax(),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(2, 1, 7, 7)).astype(np.float32)
    graph = nn.trace(model, x)
    np.testing.assert_allclose(graph.run(x), model.eval()(x).data, rtol=1e-6)


@pytest.mark.parametrize(("error", "name", "call"), [
    (TypeError, "cat", lambda: nn.cat(3)), (TypeError, "stack", lambda: nn.stack(3)),
    (ValueError, "cat", lambda: nn.cat([])), (ValueError, "stack", lambda: nn.stack(())),
    (ValueError, "dropout", lambda: F.dropout(nn.Tensor([1.0]), p="x")),
    (TypeError, "checkpoint", lambda: nn.checkpoint(3, 1)),
    (ValueError, "mse_loss", lambda: F.mse_loss(nn.Tensor([1.0]), nn.Tensor([1.0]), reduction="avg")),
    (ValueError, "batch_norm", lambda: F.batch_norm(nn.Tensor(one((2, 0, 3))), None, None, training=True)),
])
def test_the_function_is_named(error, name, call):
    with pytest.raises(error, match=f"^{name}: "):
        call()


def test_a_sequence_may_be_a_generator():
    assert nn.cat(nn.Tensor([float(i)]) for i in range(3)).shape == (3,)
    assert nn.stack(nn.Tensor([float(i)]) for i in range(3)).shape == (3, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_indices_changed_after_the_forward_pass_change_nothing(dtype):
    def gradients(change):
        x = nn.Tensor(np.arange(6, dtype=dtype).reshape(3, 2), requires_grad=True)
        rows, both = np.array([0, 1, 1]), np.array([[0, 1], [1, 1], [2, 0]])
        y = F.embedding(rows, x).sum() + F.cross_entropy(x, rows) + x.gather(0, both).sum()
        if change:
            rows[:] = both[:] = 0
        y.backward()
        return x.grad

    np.testing.assert_array_equal(gradients(True), gradients(False))
