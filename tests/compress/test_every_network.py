"""Every traced network converts: its Program computes what it computes, is saved and loaded to the same bits,
and its layers can be compressed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import GPTQ, Cluster, Prune, Quantize
from nn import functional as F
from nn.testing.networks import networks
from tests.compress.networks import close, outputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@given(networks())
def test_it_converts_to_what_it_computes_and_comes_back_from_a_file(folder, network):
    program = compress.convert(network, network.inputs(3))
    compress.save(program, folder / "p")
    again = compress.load(folder / "p")
    assert str(again) == str(program)
    for n in (4, 1, 0):
        x = network.inputs(n, seed=n)
        got = program(*x)
        if n:
            close(got, outputs(network, x))
        np.testing.assert_array_equal(again(*x), got)


RECIPES = st.sampled_from([Quantize(), Prune(0.5), [Prune(0.5), Quantize()], Cluster(2), GPTQ(4)])


@given(networks(), RECIPES)
def test_its_layers_are_compressed_and_simulated(network, recipe):
    x = network.inputs(6)
    try:
        compress.prepare(network, recipe, x)
    except ValueError as refused:
        said = str(refused)
        assert "chooses no layer" in said or "fits no layer" in said or "different values" in said, said
        return
    wanted = outputs(network, x)
    program = compress.convert(network)
    if network.parametrization is None:
        close(program(*x), wanted)
    else:
        np.testing.assert_array_equal(program(*x), wanted)


class Classifier(nn.Module):
    """Tokens, a mask of those that are none, two encoder layers, the mean of what is left."""

    def __init__(self, rng):
        self.embedding = nn.Embedding(20, 16, rng=rng)
        self.place = nn.Parameter(rng.normal(size=(7, 16)).astype(np.float32))
        self.layers = nn.Sequential(*(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, rng=rng)
                                      for _ in range(2)))
        self.fc = nn.Linear(16, 3, rng=rng)

    def forward(self, tokens, padding):
        x = self.embedding(tokens) + self.place
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        return self.fc(x.mean(1))


def classifier():
    rng = np.random.default_rng(0)
    tokens, padding = rng.integers(0, 20, (12, 7)), np.zeros((12, 7), bool)
    padding[::2, 5:] = True
    return Classifier(rng).eval(), (tokens, padding)


@pytest.mark.parametrize("recipe", [None, Quantize(), Cluster(3), Prune(0.5),
                         {"layers.0.linear1": Quantize()}])
def test_a_transformer_with_its_linear_layers_compressed(recipe, tmp_path):
    model, x = classifier()
    if recipe is not None:
        compress.prepare(model, recipe, x)
    program = compress.convert(model, x if recipe is None else None)
    dtypes = {name: value.dtype for name, value in program.inputs.items()}
    assert dtypes == {"tokens": "int64", "padding": "bool"}
    with nn.no_grad():
        close(program(*x), model(*x).data)
    compress.save(program, tmp_path / "p")
    again = compress.load(tmp_path / "p")
    np.testing.assert_array_equal(again(padding=x[1][:5], tokens=x[0][:5]), program(x[0][:5], x[1][:5]))
    kinds = {name: one.kind for name, one in program.constants.items() if isinstance(one, compress.Stored)}
    if recipe == Quantize():
        assert len(kinds) == 9    # in_proj, out_proj, linear1 and linear2 of each layer, and the last
        assert set(kinds.values()) == {"int8"}


def test_a_transformer_is_trained_as_it_will_run():
    model, x = classifier()
    compress.prepare(model, Quantize(), x)
    before = model.layers[0].self_attn.in_proj_weight.data.copy()
    optimizer = nn.optim.Adam(model.train().parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(*x), np.arange(12) % 3).backward()
        optimizer.step()
    assert np.any(model.layers[0].self_attn.in_proj_weight.data != before)
    with nn.no_grad():
        np.testing.assert_array_equal(compress.convert(model.eval())(*x), model(*x).data)


def test_inputs_that_do_not_fit_are_refused_by_name():
    model, (tokens, padding) = classifier()
    program = compress.convert(model, (tokens, padding))
    with pytest.raises(TypeError, match="Classifier: wants tokens, padding; got 0"):
        program(tokens)
    with pytest.raises(TypeError, match="tokens must be a int64 array; got float32"):
        program(tokens.astype(np.float32), padding)
    with pytest.raises(ValueError, match=r"padding must have shape \(N, 7\), N being 12; got \(3, 7\)"):
        program(tokens, padding[:3])


@pytest.mark.parametrize("forward", [
    lambda fc, x: F.relu(fc(x) + 1.0), lambda fc, x: F.relu(fc(x) + fc(x)[:, :1]),
    lambda fc, x: F.clamp(fc(x) + fc(x), max=0.5),
    lambda fc, x: F.relu(F.linear(x, fc.weight * 2.0, fc.bias)),
], ids=["number", "broadcast", "clamp", "computed-weight"])
def test_a_clip_is_computed_whatever_stands_before_it(forward):
    class Net(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(4, 4, rng=np.random.default_rng(0))

        def forward(self, x):
            return forward(self.fc, x)

    model, x = Net(), np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    close(compress.convert(model, x)(x), outputs(model, (x,)))


class Two(nn.Module):
    """Two outputs, by name or one after the other."""

    def __init__(self, named):
        self.named, self.fc = named, nn.Linear(4, 6, rng=np.random.default_rng(0))

    def forward(self, x):
        y = F.relu(self.fc(x))
        return {"mean": y.mean(1), "whole": y} if self.named else (y.mean(1), y)


@pytest.mark.parametrize(("named", "names"), [(True, ["mean", "whole"]), (False, ["output_0", "output_1"])])
@pytest.mark.parametrize("recipe", [None, Quantize()])
def test_several_outputs_have_names(named, names, recipe, tmp_path):
    model, x = Two(named), np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    if recipe is not None:
        compress.prepare(model, recipe, x)
    program = compress.convert(model, x)
    compress.save(program, tmp_path / "p")
    for made in (program(x), compress.load(tmp_path / "p")(x)):
        assert list(made) == names
        with nn.no_grad():
            wanted = model.eval()(nn.Tensor(x))
        for got, one in zip(made.values(), wanted.values() if named else wanted, strict=True):
            np.testing.assert_allclose(got, one.data, rtol=1e-6, atol=1e-6)


class Remembers(nn.Module):
    """A row at a time, with what came before: a key-value cache in small."""

    def __init__(self):
        self.fc = nn.Linear(4, 4, rng=np.random.default_rng(0))

    def forward(self, x, cache):
        cache = nn.cat([cache, self.fc(x).unsqueeze(1)], 1)
        return {"y": cache.mean(1), "cache_out": cache}


def test_a_network_with_state_goes_on_where_it_was(tmp_path):
    model, rng = Remembers().eval(), np.random.default_rng(1)
    x, cache = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(3, 2, 4)).astype(np.float32)
    program = compress.convert(model, (x, cache), dims={"x": ("N",), "cache": ("N", "S")})
    compress.save(program, tmp_path / "p")
    again, wanted = compress.load(tmp_path / "p"), cache
    for step in range(3):
        x = rng.normal(size=(3, 4)).astype(np.float32)
        made = again(x, cache)
        np.testing.assert_array_equal(made["y"], program(x, cache)["y"])
        wanted = np.concatenate([wanted, model.fc(nn.Tensor(x)).data[:, None]], 1)
        np.testing.assert_allclose(made["y"], wanted.mean(1), rtol=1e-5, atol=1e-6)
        cache = made["cache_out"]
        assert cache.shape == (3, 3 + step, 4)


def test_state_is_kept_in_a_program(tmp_path):
    class Sum(nn.Module):
        def forward(self, x, total):
            return {"total_out": x + total}

    x = np.ones((2, 3), np.float32)
    program = compress.convert(Sum(), (x, x), state={"total_out": "total"})
    assert program.state == {"total_out": "total"}
    assert str(program).endswith("  total is total_out of the call before")
    compress.save(program, tmp_path / "p")
    assert compress.load(tmp_path / "p").state == program.state


@pytest.mark.parametrize(("recipe", "kind"),
                         [(Quantize(), "int8"), (Prune(0.5), "bitmask"), (Cluster(2), "shared")])
def test_the_filters_of_a_signal_are_compressed(recipe, kind):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv1d(4, 8, 3, padding=1, rng=rng), nn.BatchNorm1d(8), nn.ReLU(),
                          nn.Conv1d(8, 4, 3, groups=2, rng=rng)).eval()
    x = rng.normal(size=(6, 4, 10)).astype(np.float32)
    compress.prepare(model, recipe, x)
    program = compress.convert(model, integer=recipe == Quantize())
    assert "numpy:" not in str(program)
    stored = [one for one in program.constants.values() if isinstance(one, compress.Stored)]
    assert [one.kind for one in stored] == [kind, kind]
    close(program(x), outputs(model, (x,)))


class Cross(nn.Module):
    def __init__(self, rng):
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, rng=rng)

    def forward(self, x, y):
        return self.attention(x, y, y)[0]


@pytest.mark.parametrize(("recipe", "kind"), [(Quantize(), "int8"), (Cluster(2), "shared")])
def test_the_projections_of_cross_attention_are_compressed(recipe, kind):
    rng = np.random.default_rng(0)
    model, x = Cross(rng).eval(), tuple(rng.normal(size=(4, s, 8)).astype(np.float32) for s in (3, 5))
    compress.prepare(model, recipe, x)
    program = compress.convert(model)
    assert program.constants["attention.in_proj_weight"].kind == kind
    close(program(*x), outputs(model, x))
