"""A language model converts whole and as a step with a cache, compressed or not, tables included."""

import copy

import numpy as np
import pytest

import compress
import nn
from compress import Cluster, Huffman, Prune, Quantize, Rans, Recipe
from nn.language import cached, next_token_loss
from nn.models import CachedStep, CharTransformer

TOKENS = np.random.default_rng(2).integers(13, size=(5, 8))
RECIPES = {
    "float": None, "float16": Quantize(weights="float16"), "int4": Quantize(4, activations=None),
    "shared": Cluster(3), "deep compression": [Prune(0.5), Cluster(3), Huffman()],
    "coded": [Quantize(3, activations=None), Rans()]}


def model(how=None, tied=True, layers=2, heads=4):
    rng = np.random.default_rng(0)
    made = CharTransformer(13, 16, layers, heads, 8, tied, rng=rng)
    for p in made.parameters():
        p.data += 0.2 * rng.standard_normal(p.shape, np.float32)
    if how is not None:
        compress.prepare(made.eval(), Recipe({"*": how, nn.Embedding: how}), TOKENS)
    return made.eval()


def programs(network, tokens=TOKENS[:2]):
    step = compress.convert(CachedStep(network), CachedStep.example(network, tokens), state=CachedStep.state)
    return compress.convert(network, TOKENS), step


@pytest.mark.parametrize(("tied", "layers"), [(True, 2), (False, 2), (True, 1)])
@pytest.mark.parametrize("name", RECIPES)
def test_cached_steps_give_the_logits_of_the_whole_context(name, tied, layers, tmp_path):
    network = model(RECIPES[name], tied, layers)
    whole, step = programs(network)
    every = whole(TOKENS)
    with nn.no_grad():
        assert np.allclose(network(nn.Tensor(TOKENS)).numpy(), every, rtol=1e-4, atol=1e-4)
    compress.save(step, tmp_path / "step")
    step = compress.load(tmp_path / "step")
    assert step.state == CachedStep.state
    for tokens, right in zip(TOKENS, every, strict=True):
        predict = cached(step, network)
        for t in range(len(tokens)):
            assert np.allclose(predict(tokens[:t + 1]), right[t], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("layers", "heads"), [(1, 4), (1, 1), (2, 1), (3, 2)])
def test_a_cache_of_any_number_of_layers_and_heads(layers, heads):
    """Of one layer, that of the keys and that of the values are inputs which are only given another shape."""
    network = model(layers=layers, heads=heads)
    whole, step = programs(network)
    every = whole(TOKENS)
    for tokens, right in zip(TOKENS, every, strict=True):
        predict = cached(step, network)
        for t in range(len(tokens)):
            assert np.allclose(predict(tokens[:t + 1]), right[t], rtol=1e-4, atol=1e-4)


def test_texts_of_one_batch_may_stand_at_different_places():
    network = model()
    whole, step = programs(network)
    example = CachedStep.example(network, TOKENS[:2])  # all steps of two texts
    found = step(**example)["logits"].reshape(8, 2, -1).transpose(1, 0, 2)
    assert np.allclose(found, whole(TOKENS)[:2], rtol=1e-4, atol=1e-4)


def test_integers_of_the_step_have_ranges_from_its_example():
    network = model(Quantize())
    whole, step = programs(network, TOKENS)
    assert any(call.op == "quantize" for call in step.calls)
    plain, _ = programs(model())
    found = step(**CachedStep.example(network, TOKENS[:1]))["logits"]
    spread = np.abs(plain(TOKENS)).max()
    assert np.abs(found - whole(TOKENS)[0]).max() < 0.05 * spread
    assert np.abs(whole(TOKENS) - plain(TOKENS)).max() < 0.05 * spread


def test_what_the_program_has_no_place_for_is_refused():
    whole, step = programs(model())
    with pytest.raises(ValueError, match=r"tokens must have shape \(N, 8\)"):
        whole(np.zeros((1, 9), np.int64))
    inputs = CachedStep.example(model(), TOKENS[:1, :1])
    with pytest.raises(IndexError, match="rows 0 to 7"):
        step(**inputs | {"position": np.array([[8]])})
    with pytest.raises(IndexError, match="rows 0 to 12"):
        step(**inputs | {"token": np.array([[13]])})


def test_a_program_in_which_two_outputs_become_one_input_is_refused():
    _, step = programs(model())
    make, made_of = step.__reduce__()
    with pytest.raises(compress.ProgramError, match=r"two outputs become one input"):
        make(*made_of[:-1], {"new_keys": "keys", "new_values": "keys"})


def test_a_table_is_chosen_by_name_or_class_and_stays_compressed():
    network = model()
    assert "token" not in Recipe(Quantize()).chains(network)
    assert {"token", "position"} <= Recipe({"*": None, nn.Embedding: Cluster(3)}).chains(network).keys()
    compress.prepare(network, Recipe({"position": Cluster(3), "token": [Cluster(3), Huffman()]}), TOKENS)
    whole, step = programs(network)
    for program, prefix in ((whole, ""), (step, "model.")):
        kinds = {name: program.constants[f"{prefix}{name}.weight"].kind for name in ("token", "position")}
        assert kinds == {"token": "shared+huffman", "position": "shared"}
        floats = [one for one in program.constants.values() if isinstance(one, np.ndarray)
                  and one.dtype == np.float32 and one.shape in ((13, 16), (8, 16))]
        assert not floats  # no copy of a table that was decoded beforehand


def test_a_table_is_trained_through_its_chain():
    network = model(Cluster(2))
    before = [one.copy() for one in network.state_dict().values()]
    x = np.tile(np.arange(8), (32, 1))
    optimizer = nn.optim.Adam(network.parameters(), lr=1e-2)
    log = nn.train.fit(network, x, (x + 1) % 13, epochs=12, batch_size=8, loss=next_token_loss,
                       optimizer=optimizer, rng=np.random.default_rng(0), progress=False)
    assert log[-1].loss < 0.7 * log[0].loss
    assert any((a != b).any() for a, b in zip(before, network.state_dict().values(), strict=True))
    whole, _ = programs(copy.deepcopy(network).eval())
    assert len(np.unique(whole.constants["position.weight"].decode())) <= 4
