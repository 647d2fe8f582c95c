"""A trace writes down every layer of nn, and its graph runs to the bit as the layer does; so do methods."""

import re

import numpy as np
import pytest

import nn
from nn import functional as F
from nn import layers
from tests.nn.test_graph_inputs import Net, floats, forward

IMAGE, SIGNAL, VECTOR, ROW = floats(2, 4, 6, 5), floats(2, 4, 7), floats(2, 8), floats(2, 3, 4)
TOKENS = np.arange(10).reshape(2, 5) % 9
LAYERS = [
    ("Conv2d(4, 6, 3, stride=2, padding=1, groups=2)", IMAGE),
    ("Conv2d(4, 4, (3, 1), dilation=(2, 1), groups=4, bias=False)", IMAGE),
    ("Conv2d(4, 3, 2, padding='same')", IMAGE), ("Conv2d(4, 3, 2, padding='valid')", IMAGE),
    ("Conv2d(4, 3, 2, padding='same', padding_mode='reflect')", IMAGE),
    ("Conv2d(4, 3, 3, padding=1, padding_mode='replicate')", IMAGE),
    ("Conv2d(4, 3, 3, padding=(1, 2), padding_mode='circular')", IMAGE),
    ("Conv1d(4, 6, 3, stride=2, padding=1, groups=2)", SIGNAL),
    ("Conv1d(4, 2, 2, padding='same', dilation=3)", SIGNAL),
    ("ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2)", IMAGE),
    ("Linear(8, 3)", VECTOR), ("Linear(7, 3, bias=False)", SIGNAL),
    ("Embedding(9, 4, padding_idx=0)", TOKENS),
    ("BatchNorm1d(8)", VECTOR), ("BatchNorm1d(4, affine=False)", SIGNAL), ("BatchNorm2d(4)", IMAGE),
    ("GroupNorm(2, 4)", IMAGE), ("GroupNorm(4, 4, affine=False)", SIGNAL),
    ("LayerNorm((6, 5))", IMAGE), ("LayerNorm(8, elementwise_affine=False)", VECTOR),
    ("MaxPool2d(2)", IMAGE), ("MaxPool2d(3, 2, 1, dilation=2, ceil_mode=True)", IMAGE),
    ("AvgPool2d(2)", IMAGE), ("AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)", IMAGE),
    ("MaxPool1d(3, 2)", SIGNAL), ("AvgPool1d(3, 2)", SIGNAL),
    ("AdaptiveAvgPool2d((4, 3))", IMAGE), ("AdaptiveAvgPool2d(1)", IMAGE),
    ("AdaptiveMaxPool2d((4, None))", IMAGE),
    ("Upsample(scale_factor=2)", IMAGE), ("Upsample(9, mode='linear')", SIGNAL),
    ("Upsample((7, 9), mode='bilinear', align_corners=True)", IMAGE),
    ("TransformerEncoderLayer(4, 2, 8, batch_first=True)", ROW),
    ("TransformerEncoderLayer(4, 1, 8, batch_first=True, norm_first=True, activation='gelu')", ROW),
    ("Flatten()", IMAGE), ("Flatten(2)", IMAGE), ("Sequential(nn.Linear(8, 4), nn.ReLU())", VECTOR),
    *((f"{name}()", VECTOR) for name in ("ReLU", "LeakyReLU", "Tanh", "Sigmoid", "LogSigmoid", "Softplus",
                                         "SiLU", "GELU", "Softmax", "LogSoftmax", "Dropout", "Identity")),
]
ELSEWHERE = {"MultiheadAttention", "ModuleList"}    # in test_graph_inputs.py; a list of layers has no forward
ELSEWHERE |= {"FavorAttention", "NystromAttention", "RandomFeatureAttention", "RandomFourierAttention"}
LOSSES = {name for name in layers.__all__ if name.endswith("Loss")}    # of a batch, not of each of its rows


def test_every_layer_is_here():
    assert {re.match(r"\w+", text)[0] for text, _ in LAYERS} | LOSSES | ELSEWHERE == set(layers.__all__)


@pytest.mark.parametrize(("text", "x"), LAYERS, ids=[text for text, _ in LAYERS])
def test_a_layer_runs_as_its_graph_does(text, x):
    layer = eval(f"nn.{text}")
    graph = nn.trace(layer, x)
    for n in (1, 2, 5):
        rows = np.concatenate([x + k if x.dtype.kind == "f" else x for k in range(3)])[:n]
        np.testing.assert_array_equal(graph.run(rows), forward(layer, rows).data, strict=True)


@pytest.mark.parametrize("loss", sorted(LOSSES - {"CrossEntropyLoss", "NLLLoss"}))
def test_a_loss_of_each_entry_is_traced_and_its_mean_is_refused(loss):
    graph = nn.trace(Net(lambda m, x, y: getattr(nn, loss)(reduction="none")(x, y)), VECTOR, VECTOR + 1)
    assert graph.nodes[-1].shape == ("N", 8)
    with pytest.raises(nn.TraceError, match="it mixes the rows"):
        nn.trace(Net(lambda m, x, y: getattr(nn, loss)()(x, y)), VECTOR, VECTOR + 1)


ATTENTION = nn.MultiheadAttention(7, 1, batch_first=True, rng=np.random.default_rng(0))
METHODS = {
    "unflatten": lambda x: x.reshape(len(x), 2, 2, *x.shape[2:]),
    "unbind": lambda x: x.unbind(1)[2],
    "split": lambda x: x.split([1, 3], 1)[1],
    "chunk": lambda x: x.chunk(2, -1)[0],
    "stack": lambda x: F.stack([x, x], 2),
    "gather": lambda x: x.gather(1, x.argmax(1, keepdim=True)),
    "scatter_add": lambda x: x.scatter_add(1, x.argsort(1), x),
    "index_select": lambda x: x.index_select(2, [0, 3, 3]),
    "repeat": lambda x: x.repeat(1, 2, 1),
    "one_hot": lambda x: F.one_hot(x.argmax(1), 4).float(),
    "topk": lambda x: x.topk(2, 1).values,
    "sort": lambda x: x.sort(1, descending=True).indices.float(),
    "einsum": lambda x: F.einsum("nct,ndt->ncd", x, x),
    "tril": lambda x: (x @ x.mT).tril(),
    "where": lambda x: F.where(x > 0, x, 0),
    "pad": lambda x: F.pad(x, (1, 2, -1, 0)),
    "reflect": lambda x: F.pad(x, (2, 1), "reflect"),
    "interpolate": lambda x: F.interpolate(x, scale_factor=1.5),
    "moments": lambda x: F.cat([x.var(1), x.std(1), x.prod(1), x.logsumexp(1), x.amin(1)], 1),
    "truth": lambda x: (x > 1).any(1) & ~(x > 0).all(1),
    "norm": lambda x: x / x.norm(dim=1, keepdim=True),
    "cumprod": lambda x: x.cumprod(1),
    "movedim": lambda x: x.movedim(2, 1),
    "rolled": lambda x: F.cat([x[:, -1:], x[:, :-1]], 1),
    "folded": lambda x: x.permute(0, 2, 1).reshape(-1, 4).mean(1).view(len(x), -1),
    "half": lambda x: (x.half() * 2).float(),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "mask": lambda x: x[:, np.array([True, False, True, True])],
    "newaxis": lambda x: x[:, None, ..., None],
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "weights": lambda x: ATTENTION(x, x, x)[1],
}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_runs_as_its_graph_does(method):
    model = Net(lambda m, x: METHODS[method](x))
    graph = nn.trace(model, SIGNAL)
    for n in (1, 3):
        rows = floats(n, 4, 7)
        np.testing.assert_array_equal(graph.run(rows), forward(model, rows).data, strict=True)
