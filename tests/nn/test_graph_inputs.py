"""Graphs of several inputs of any dtype, of lengths that have names, and of outputs that become inputs."""

from typing import NamedTuple

import numpy as np
import pytest

import nn
from nn import functional as F
from tests.net import Net

RNG = np.random.default_rng(0)


class Tokens(nn.Module):
    """A small language model: tokens and places embedded, one causal layer, scores of the next token."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.words = nn.Embedding(20, 8, rng=rng)
        self.places = nn.Parameter(rng.normal(size=(16, 8)).astype(np.float32))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, rng=rng)
        self.head = nn.Linear(8, 20, rng=rng)

    def forward(self, tokens):
        return self.head(self.layer(self.words(tokens) + self.places[:tokens.shape[1]], is_causal=True))


class Cached(nn.Module):
    """One step of attention over a cache, which gets the new key at a place of its own in each row."""

    def __init__(self):
        self.key = nn.Linear(4, 4, rng=np.random.default_rng(0))

    def forward(self, x, cache, place):
        here = F.one_hot(place, cache.shape[1]).float().unsqueeze(-1)
        cache = cache * (1 - here) + here * self.key(x).unsqueeze(1)
        found = F.scaled_dot_product_attention(x.unsqueeze(1), cache, cache)
        return {"found": found.squeeze(1), "new_cache": cache}


def floats(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def forward(model, *inputs, **named):
    with nn.no_grad():
        return model.eval()(*map(nn.Tensor, inputs), **{name: nn.Tensor(x) for name, x in named.items()})


def encoder(**options):
    return nn.TransformerEncoderLayer(8, 2, 16, rng=np.random.default_rng(0), **options)


# Lengths with names


def test_a_language_model_runs_at_any_length_up_to_its_longest():
    model = Tokens()
    graph = nn.trace(model, RNG.integers(0, 20, (2, 6)), dims={"tokens": ("N", "S")})
    assert str(graph.inputs["tokens"]) == "int64 (N, S)"
    assert graph.nodes[-1].shape == ("N", "S", 20)
    for n, s in ((1, 1), (3, 4), (2, 16)):
        tokens = RNG.integers(0, 20, (n, s))
        np.testing.assert_array_equal(graph.run(tokens), forward(model, tokens).data)


def test_masks_are_inputs():
    model = encoder(batch_first=True)
    masks = {"src_mask": np.zeros((6, 6), bool), "src_key_padding_mask": np.zeros((2, 6), bool)}
    dims = {"src": ("N", "S"), "src_mask": ("S", "S"), "src_key_padding_mask": ("N", "S")}
    graph = nn.trace(model, floats(2, 6, 8), dims=dims, **masks)
    assert list(graph.inputs) == ["src", "src_mask", "src_key_padding_mask"]
    masks = {"src_mask": np.triu(np.ones((5, 5), bool), 1),
             "src_key_padding_mask": np.arange(5) > np.array([[1], [2], [4]])}
    x = floats(3, 5, 8)
    np.testing.assert_array_equal(graph.run(x, **masks), forward(model, x, **masks).data)


def test_the_batch_may_be_the_second_dimension():
    model = encoder()
    graph = nn.trace(model, floats(6, 2, 8), dims={"src": ("S", "N")})
    x = floats(4, 5, 8)
    np.testing.assert_array_equal(graph.run(x), forward(model, x).data)


@pytest.mark.parametrize(("compute", "shapes"), [
    (lambda m, x: x.reshape(-1, 4).tanh().reshape(len(x), x.shape[1], 4), ["(N·S, 4)", "(N, S, 4)"]),
    (lambda m, x: F.cat([m.first.expand(len(x), 1, 4), x], 1).flatten(1), ["(N, S + 1, 4)", "(N, 4·S + 4)"]),
    (lambda m, x: x[:, :x.shape[1]].mT, ["(N, S, 4)", "(N, 4, S)"]),
    (lambda m, x: F.avg_pool1d(x.mT, x.shape[1]), ["(N, 4, 1)"]),
    (lambda m, x: F.pad(x, (0, 0, 1, 2)), ["(N, S + 3, 4)"]),
], ids=["folded", "one-more", "slice", "global-pool", "padded"])
def test_lengths_are_polynomials_of_names(compute, shapes):
    model = Net(compute, first=nn.Parameter(floats(1, 1, 4)))
    graph = nn.trace(model, floats(2, 6, 4), dims={"x": ("N", "S")})
    assert set(shapes) <= {str(node.shape) for node in graph.nodes}
    for n, s in ((1, 9), (3, 2)):
        np.testing.assert_array_equal(graph.run(floats(n, s, 4)), forward(model, floats(n, s, 4)).data)


@pytest.mark.parametrize(("compute", "message"), [
    (lambda m, x: x + np.arange(x.shape[1], dtype=np.float32)[:, None], r"add: .*an array with S = 6"),
    (lambda m, x: x.sum(1) / x.shape[1], r"div: it reads the constant .* 6\.0 with S = 6 and 5\.0 with S"),
    (lambda m, x: F.avg_pool1d(x.mT, 2), r"avg_pool2d: .*\(2, 4, 1, 3\) with S = 6"),
    (lambda m, x: x.relu() if x.shape[1] > 5 else x.tanh(), r"relu: .*relu with S = 6 and tanh with S = 5"),
    (lambda m, x: F.softmax(x, -1).clamp(0, 1) if x.shape[1] > 5 else F.softmax(x, 1).clamp(0, 1),
     r"softmax: what it does depends on a length that moves: .*S = 6"),
], ids=["a-constant", "a-number", "steps", "a-branch", "an-attribute"])
def test_what_hangs_on_a_length_is_refused_unless_it_is_fixed(compute, message):
    with pytest.raises(nn.TraceError, match=message):
        nn.trace(Net(compute), floats(2, 6, 4), dims={"x": ("N", "S")})
    graph = nn.trace(Net(compute), floats(2, 6, 4))
    np.testing.assert_array_equal(graph.run(floats(3, 6, 4)), forward(Net(compute), floats(3, 6, 4)).data)


def test_causal_attention_over_the_batch_is_refused():
    model = Net(lambda m, x: F.scaled_dot_product_attention(x, m.w, m.w, is_causal=True),
                w=nn.Parameter(floats(5, 4)))
    with pytest.raises(nn.TraceError, match="scaled_dot_product_attention: it mixes the rows"):
        nn.trace(model, floats(3, 4))


def test_what_is_read_off_an_input_behind_the_engine_is_refused_also_if_all_lengths_are_fixed():
    with pytest.raises(nn.TraceError, match=r"add: it reads the constant .* an array with other inputs"):
        nn.trace(Net(lambda m, x, y: x + np.cumsum(y.data, 0)), floats(2, 3), floats(2, 3),
                 dims={"x": (), "x_1": ()})


def test_the_batch_may_be_no_number_in_a_computation():
    with pytest.raises(nn.TraceError, match=r"softplus: what it does depends on .*beta.* with N = 3"):
        nn.trace(Net(lambda m, x: F.softplus(x, beta=len(x))), floats(3, 4))


def test_an_input_may_have_no_batch_and_an_output_of_it_none():
    graph = nn.trace(Net(lambda m, x, y: (x * y, y.relu())), floats(2, 3), floats(3), dims={"x_1": ()})
    made = graph.run(floats(4, 3), floats(3))
    np.testing.assert_array_equal(made["output_0"], floats(4, 3) * floats(3))
    assert made["output_1"].shape == (3,)


# Several inputs and outputs


def test_queries_and_keys_have_lengths_of_their_own():
    model = nn.MultiheadAttention(8, 2, batch_first=True, rng=np.random.default_rng(0))
    graph = nn.trace(model, floats(2, 3, 8), floats(2, 5, 8), floats(2, 5, 8),
                     dims={"query": ("N", "L"), "key": ("N", "S"), "value": ("N", "S")})
    assert list(graph.outputs) == ["output_0", "output_1"]
    assert graph.value(graph.outputs["output_1"]).shape == ("N", "L", "S")
    inputs = floats(3, 4, 8), floats(3, 6, 8), floats(3, 6, 8)
    for made, wanted in zip(graph.run(*inputs).values(), forward(model, *inputs), strict=True):
        np.testing.assert_array_equal(made, wanted.data)


class Pair(NamedTuple):
    left: nn.Tensor
    right: nn.Tensor


@pytest.mark.parametrize(("compute", "names"), [
    (lambda m, x, y: (x + y, None, x), ["output_0", "output_2"]),
    (lambda m, x, y: {"sum": x + y, "parts": [x, y.relu()]}, ["sum", "parts_0", "parts_1"]),
    (lambda m, x, y: Pair(x - y, y), ["left", "right"]),
    (lambda m, x, y: {"pair": Pair(x - y, y)}, ["pair.left", "pair.right"]),
    (lambda m, x, y: [x.relu() + y.long()], ["output_0"]),
])
def test_outputs_are_named_by_place_or_by_key(compute, names):
    graph = nn.trace(Net(compute), floats(2, 3), floats(2, 3))
    assert list(graph.outputs) == names
    made = graph.run(x_1=np.ones((4, 3), np.float32), x=floats(4, 3))
    made = made if len(names) > 1 else {names[0]: made}
    assert list(made) == names
    assert all(array.shape == (4, 3) for array in made.values())


def test_a_graph_of_several_has_no_only_input():
    graph = nn.trace(Net(lambda m, x, y: (x, x + y)), floats(2, 3), floats(2, 3))
    with pytest.raises(ValueError, match=r"it has 2 inputs \(x, x_1\), wanted one"):
        _ = graph.input_shape
    with pytest.raises(ValueError, match=r"it has 2 outputs \(output_0, output_1\), wanted one"):
        _ = graph.output
    assert str(graph).splitlines()[0] == "graph: x (N, 3), x_1 (N, 3) → output_0 = x, output_1 = add, 1 nodes"


@pytest.mark.parametrize(("arrays", "named", "error", "message"), [
    ([floats(2, 3)], {}, TypeError, "wants x, x_1; got 0"),
    ([floats(2, 3)] * 3, {}, TypeError, "wants x, x_1; got 0, 1, 2"),
    ([floats(2, 3)], {"y": floats(2, 3)}, TypeError, "wants x, x_1; got 0, y"),
    ([floats(2, 3), floats(2, 4)], {}, ValueError, r"x_1 must have shape \(N, 3\), N being 2; got \(2, 4\)"),
    ([floats(2, 3), floats(4, 3)], {}, ValueError, r"x_1 must have shape \(N, 3\), N being 2; got \(4, 3\)"),
])
def test_inputs_that_do_not_fit_are_refused_when_it_runs(arrays, named, error, message):
    graph = nn.trace(Net(lambda m, x, y: x + y), floats(2, 3), floats(2, 3))
    with pytest.raises(error, match=f"^graph: .*{message}"):
        graph.run(*arrays, **named)


def test_a_number_has_the_dtype_of_what_it_meets():
    graph = nn.trace(Net(lambda m, x: F.where(x > 0, x * 0.1, 2) / 3), floats(2, 3))
    assert {graph.value(node.output).dtype.name for node in graph.nodes} == {"bool", "float32"}
    assert graph.run(floats(4, 3)).dtype == np.float32
    whole = nn.trace(Net(lambda m, x: x * 3 + 0.5), np.ones((2, 3), np.int64))
    assert [node.dtype.name for node in whole.nodes] == ["int64", "float64"]


# State


def test_a_cache_is_an_output_that_becomes_an_input():
    model, places = Cached(), np.array([1, 3])
    graph = nn.trace(model, floats(2, 4), floats(2, 5, 4), places, dims={"place": ("N",)},
                     state={"new_cache": "cache"})
    assert graph.state == {"new_cache": "cache"}
    assert str(graph).endswith("cache is new_cache of the call before")
    cache = wanted = floats(2, 5, 4)
    for step in range(3):
        x = floats(2, 4) + step
        made = graph.run(x, cache, places - step % 2)
        out = forward(model, x, wanted, places - step % 2)
        np.testing.assert_array_equal(made["found"], out["found"].data)
        cache, wanted = made["new_cache"], out["new_cache"].data


@pytest.mark.parametrize(("state", "message"), [
    ({"found": "cache"}, r"'found' is float32 \(N, 4\), but the input 'cache' .* is float32 \(N, 5, 4\)"),
    ({"cache": "cache"}, "wanted an output, of found, new_cache"),
    ({"new_cache": "key"}, "and the input, of x, cache, place"),
])
def test_a_state_that_does_not_fit_is_refused(state, message):
    with pytest.raises(ValueError, match=f"^trace: state.*{message}"):
        nn.trace(Cached(), floats(2, 4), floats(2, 5, 4), np.array([1, 3]), dims={"place": ("N",)},
                 state=state)


@pytest.mark.parametrize("what", ["state", "dims"])
def test_pairs_that_are_no_dict_are_refused(what):
    for given in ("x", [("found", "x")]):
        with pytest.raises(TypeError, match=f"^trace: {what} must be a dict, .* got {type(given).__name__}"):
            nn.trace(Cached(), floats(2, 4), floats(2, 5, 4), np.array([1, 3]), **{what: given})


def test_two_outputs_do_not_become_one_input():
    def run(module, x, cache):
        return {"found": x + cache, "one": cache * 2, "other": cache * 3}

    with pytest.raises(ValueError, match=r"^trace: state: 'one' and another output become the input 'x_1'"):
        nn.trace(Net(run), floats(2, 3), floats(2, 3), state={"one": "x_1", "other": "x_1"})


# Examples and dims that do not fit


@pytest.mark.parametrize(("examples", "dims", "message"), [
    ((), {}, "the inputs that came are none, wanted at least one"),
    ((floats(2, 3),), {"y": ("N",)}, r"the inputs that came are x, wanted .* all that dims names \(y\)"),
    ((floats(2, 3), floats(4, 3)), {}, r"x_1 has shape \(4, 3\), but its dimension N is 2 long"),
    ((floats(2, 3),), {"x": ("N", 4)}, r"x has shape \(2, 3\), but its dimension 4 is 4 long"),
    ((floats(2, 3),), {"x": ("N", "S", "D")}, r"dims has \('N', 'S', 'D'\) for x, wanted names for some"),
    ((floats(2, 3),), {"x": ("N", "2·S")}, r"dims has \('N', '2·S'\) for x"),
    ((floats(2, 3), floats(2)), {}, r"example needs a batch .* got shape \(2,\) for 'x_1'"),
])
def test_examples_and_dims_that_do_not_fit_are_refused(examples, dims, message):
    with pytest.raises(ValueError, match=f"^trace: .*{message}"):
        nn.trace(Net(lambda m, *xs: sum(xs)), *examples, dims=dims)


def test_a_number_takes_the_dtype_of_what_it_meets_each_time():
    x, ids = np.ones((2, 3), np.float32), np.ones((2, 3), np.int64)
    graph = nn.trace(Net(lambda m, x, ids: (x * 2, ids + 2)), x, ids)
    assert sorted(str(array.dtype) for array in graph.constants.values()) == ["float32", "int64"]
    assert [y.dtype for y in graph.run(x, ids).values()] == [np.float32, np.int64]
