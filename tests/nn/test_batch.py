"""A trace holds for a batch of any size, each row by itself; what does not is refused by name."""

import numpy as np
import pytest

import compress
import nn
from nn import functional as F


class Net(nn.Module):
    """A forward function, a Linear and a parameter."""

    def __init__(self, forward):
        self.compute = forward
        self.fc = nn.Linear(2, 2, rng=np.random.default_rng(0))
        self.w = nn.Parameter(np.ones((1, 4), np.float32))

    def forward(self, x):
        return self.compute(self, x)


class Inner(nn.Module):
    def __init__(self, forward):
        self.head = Net(forward)

    def forward(self, x):
        return self.head(F.relu(x))


def rows(n, seed=0):
    return np.random.default_rng(seed).random((n, 4), np.float32)


REFUSED = {  # forward, and the operation that is to blame
    "[..., :100, :]": (lambda m, x: x[..., :100, :], "index"),
    "[None, :100][0]": (lambda m, x: x[None, :100][0], "index"),
    "a constant of values": (lambda m, x: x - x.data.mean(0), "sub"),
    "a branch on values": (lambda m, x: x * 2 if x.data[0, 0] > rows(3)[0, 0] - 1e-3 else -x, "(mul|neg)"),
    "reshape(-1, 2)": (lambda m, x: x.reshape(-1, 2), "reshape"),
    "reshape(1, -1)": (lambda m, x: x.reshape(1, -1), "reshape"),
    "reshape(4, -1)": (lambda m, x: x.reshape(4, -1), "reshape"),
    "reshape(3, 4)": (lambda m, x: x.reshape(3, 4), "reshape"),
    "flatten(0)": (lambda m, x: F.flatten(x, 0), "reshape"),
    "squeeze": (lambda m, x: x.squeeze(), "index"),
    "one row is special": (lambda m, x: x if x.shape[0] == 1 else F.relu(x), "relu"),
    "more rows are special": (lambda m, x: x - 1.0 if len(x) > 1 else x, "sub"),
    "other rows, another op": (lambda m, x: x.exp() if len(x) > 2 else x.tanh(), "exp"),
    "x / len(x)": (lambda m, x: x / len(x), "div"),
    "arange(len(x))": (lambda m, x: x + np.arange(len(x), dtype=np.float32)[:, None], "add"),
    "ones((len(x), 1))": (lambda m, x: x * nn.Tensor(np.ones((len(x), 1))), "mul"),
    "another constant every time": (lambda m, x: x + np.random.default_rng().random(4), "add"),
    "x[0]": (lambda m, x: x[0], "index"),
    "x[:1]": (lambda m, x: x[:1], "index"),
    "x - x[-1:]": (lambda m, x: x - x[-1:], "index"),
    "x[:64]": (lambda m, x: x[:64], "index"),
    "x[::-1]": (lambda m, x: x[::-1], "index"),
    "x[::2]": (lambda m, x: x[::2], "index"),
    "rows by number": (lambda m, x: x[np.arange(len(x)), 0], "index"),
    "list of rows": (lambda m, x: F.stack(list(x)), "index"),
    "chunk": (lambda m, x: x.chunk(2)[0], "index"),
    "gather": (lambda m, x: x.gather(0, np.zeros((1, 4), int)), "gather"),
    "mean(0)": (lambda m, x: x.mean(0), "mean"),
    "x - x.mean(0)": (lambda m, x: x - x.mean(dim=0), "mean"),
    "a little of the mean": (lambda m, x: x + 1e-12 * x.mean(0, keepdim=True), "mean"),
    "x - x.max(0)": (lambda m, x: x - x.amax(dim=0), "max"),
    "sum": (lambda m, x: x / x.sum(), "sum"),
    "x @ x.T": (lambda m, x: x @ x.T, "matmul"),
    "einsum": (lambda m, x: F.einsum("ij,kj->kj", x, x), "einsum"),
    "attention": (lambda m, x: F.scaled_dot_product_attention(x, x, x), "scaled_dot_product_attention"),
    "cat": (lambda m, x: F.cat([x, x]), "cat"),
    "linear of itself": (lambda m, x: F.linear(x, x), "linear"),
    "a row more": (lambda m, x: F.cat([m.w, x]), "cat"),
    "T": (lambda m, x: x.T, "permute"),
    "batch last": (lambda m, x: F.relu(x.T), "relu"),
    "softmax(0)": (lambda m, x: F.softmax(x, dim=0), "softmax"),
    "softmax where the batch went": (lambda m, x: F.softmax(x.T, dim=1).T, "softmax"),
    "softmax over folded rows": (lambda m, x: F.softmax(x.reshape(-1, 2), 0).reshape(-1, 4), "softmax"),
    "cumsum(0)": (lambda m, x: x.cumsum(0), "cumsum"),
    "tril": (lambda m, x: x.tril(), "where"),
    "pad": (lambda m, x: F.pad(x, (0, 0, 1, 0))[:-1], "pad"),
    "batch statistics": (lambda m, x: F.batch_norm(x, None, None, training=True), "batch_norm"),
}  # fmt: skip


@pytest.mark.parametrize(("forward", "op"), REFUSED.values(), ids=REFUSED)
def test_what_mixes_the_batch_or_hangs_on_its_size_is_refused_by_name(forward, op):
    with pytest.raises(nn.TraceError, match=rf"^trace: {op}: "):
        nn.trace(Net(forward), rows(3))
    with pytest.raises(nn.TraceError, match=rf"^trace: {op} in module 'head': "):
        nn.trace(Inner(forward), rows(3))
    with pytest.raises(nn.TraceError, match=rf"trace: {op}"):
        compress.convert(Net(forward), rows(3))


HOLD = {
    "as it is": lambda m, x: x,
    "reshape(len(x), -1)": lambda m, x: x.reshape(len(x), -1),
    "reshape(len(x), 2, 2)": lambda m, x: x.reshape(len(x), 2, 2),
    "folded and unfolded": lambda m, x: m.fc(x.reshape(-1, 2)).reshape(len(x), 4),
    "folded by its length": lambda m, x: m.fc(x.reshape(2 * len(x), 2)).reshape(-1, 4),
    "there and back": lambda m, x: F.softmax(x.T, dim=0).T,
    "softmax(1)": lambda m, x: F.softmax(x, dim=1),
    "x[:, :2]": lambda m, x: x[:, :2],
    "x[0:]": lambda m, x: x[0:],
    "x[..., None]": lambda m, x: x[..., None],
    "cat(dim=1)": lambda m, x: F.cat([x, x], 1),
    "x - x.mean(1)": lambda m, x: x - x.mean(1, keepdim=True),
    "a mask of values": lambda m, x: x * (x > 0.3).float(),
    "products of a row with itself": lambda m, x: x[:, :, None] * x[:, None, :],
    "a parameter for each row": lambda m, x: m.w.expand(len(x), 4) + x,
    "parameter for all rows": lambda m, x: x + m.w,
    "mean that nobody needs": lambda m, x: (x.mean(0), F.relu(x))[1],
}


@pytest.mark.parametrize("forward", HOLD.values(), ids=HOLD)
@pytest.mark.parametrize("traced", [1, 2, 3, 4])
def test_what_treats_each_row_alone_holds_for_batches_of_any_size(forward, traced):
    model = Net(forward).eval()
    graph = nn.trace(model, rows(traced))
    for n in (1, 2, 3, 5, 8):
        x = rows(n, seed=n)
        with nn.no_grad():
            np.testing.assert_array_equal(graph.run(x), model(nn.Tensor(x)).data)


def test_a_reshape_of_the_batch_holds_minus_one():
    graph = nn.trace(Net(HOLD["folded by its length"]), rows(3))
    assert [node.attrs["shape"] for node in graph.nodes if node.op == "reshape"] == [(-1, 2), (-1, 4)]
    assert graph.nodes[0].shape == ("2·N", 2)


def test_what_leads_nowhere_is_left_out_with_its_constants():
    def forward(m, x):
        m.fc(x[:, :2]).mean()
        return x + m.w

    graph = nn.trace(Net(forward), rows(3))
    assert [node.op for node in graph.nodes] == ["add"]
    assert set(graph.constants) == {"w"}


def test_rows_of_integers_are_told_apart_too():
    tokens = np.array([[1, 2], [3, 0], [4, 4]])
    model = nn.Sequential(nn.Embedding(5, 3, rng=np.random.default_rng(0)), nn.Flatten(), nn.Linear(6, 2))
    np.testing.assert_array_equal(nn.trace(model, tokens).run(tokens), model(nn.Tensor(tokens)).data)
    with pytest.raises(nn.TraceError, match="softmax"):
        nn.trace(nn.Sequential(model, nn.Softmax(0)), tokens)


def test_numbers_that_a_forward_does_not_take_prove_nothing():
    index = nn.Parameter(np.arange(12, dtype=np.float32).reshape(4, 3))
    model = Net(lambda m, x: F.embedding(x.astype(np.int64), index))
    x = np.array([[3, 0, 1, 2]], np.float32)
    np.testing.assert_array_equal(nn.trace(model, x).run(x), index.data[[[3, 0, 1, 2]]])


@pytest.mark.parametrize("first", [True, False])
def test_attention_needs_its_batch_first(first):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=first, rng=np.random.default_rng(0))
    x = np.random.default_rng(0).random((3, 5, 8), np.float32)
    if first:
        graph, wanted = nn.trace(layer, x), layer.eval()(nn.Tensor(x[:2])).data
        np.testing.assert_allclose(graph.run(x[:2]), wanted, rtol=1e-5)
    else:
        with pytest.raises(nn.TraceError, match="attention in module 'self_attn': it mixes the rows"):
            nn.trace(layer, x)


def test_folded_rows_convert():
    model, x = Net(HOLD["folded and unfolded"]).eval(), rows(3)
    program = compress.convert(model, x)
    for n in (1, 3):
        np.testing.assert_allclose(program(x[:n]), model(nn.Tensor(x[:n])).data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("example", [[[1, 2, 3]], [[1, 2, 3]] * 4, [[0] * 3]], ids=["one", "equal", "zeros"])
@pytest.mark.parametrize(("mixes", "op"), [
    (lambda e: F.softmax(e.sum(1), 0), "softmax"), (lambda e: e.sum(1) - e.sum(1).flip(0), "index")])
def test_integers_that_are_all_alike_hide_nothing(example, mixes, op):
    class Words(nn.Module):
        def __init__(self):
            self.words = nn.Embedding(10, 4)

        def forward(self, x):
            return mixes(self.words(x))

    with pytest.raises(nn.TraceError):
        nn.trace(Words(), np.array(example))
