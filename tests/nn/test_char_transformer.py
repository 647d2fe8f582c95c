"""The language model: tokens see only what they may, the cache changes nothing, errors name what is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn.language import cached, next_token_loss, sample, whole
from nn.models import CachedStep, CharTransformer, char_transformer

EPS = np.finfo(np.float32).eps


def model(seed=0, **sizes):
    how = {"vocabulary": 11, "width": 8, "layers": 2, "heads": 2, "context": 6} | sizes
    made = CharTransformer(**how, rng=np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    for p in made.parameters():  # first weights are so small that mistakes would hide
        p.data += 0.3 * rng.standard_normal(p.shape, np.float32)
    return made.eval()


def logits(network, tokens):
    with nn.no_grad():
        return network(nn.Tensor(tokens)).numpy()


def near(a, b):
    """Within what sums of a few hundred products in float32 round, of numbers of this size."""
    return np.abs(a - b).max() <= 500 * EPS * max(1, np.abs(b).max())


TOKENS = st.lists(st.integers(0, 10), min_size=6, max_size=6).map(np.array)


def test_sizes_and_the_tied_head():
    width, tokens, context, layers = 8, 11, 6, 2
    block = 12 * width**2 + 13 * width
    tied = (tokens + context) * width + layers * block + 2 * width
    assert sum(p.size for p in model().parameters()) == tied
    untied = model(tied=False)
    assert sum(p.size for p in untied.parameters()) == tied + tokens * width
    assert logits(untied, np.zeros((3, 4), int)).shape == (3, 4, 11)
    assert char_transformer(0.5, vocabulary=20).token.weight.shape == (20, 32)


@given(TOKENS, TOKENS, st.integers(0, 5), st.integers(0, 3))
def test_what_comes_later_changes_nothing_and_what_came_before_does(a, b, at, seed):
    network = model(seed)
    later = np.concatenate([a[:at + 1], b[at + 1:]])
    both = logits(network, np.stack([a, later]))
    assert near(both[0, :at + 1], both[1, :at + 1])
    other = a.copy()
    other[0] = (a[0] + 1) % 11
    assert not near(logits(network, other[None])[0, -1], both[0, -1])


@given(TOKENS, st.integers(0, 3), st.booleans())
def test_step_by_step_with_a_cache_gives_the_logits_of_the_whole(tokens, seed, tied):
    network = model(seed, tied=tied)
    every = logits(network, tokens[None])[0]
    predict = cached(CachedStep(network), network)
    for t in range(len(tokens)):
        assert near(predict(tokens[:t + 1]), every[t])
        assert near(whole(network, 6)(tokens[:t + 1]), every[t])


MUTANTS = {"keys are forgotten": lambda made: made | {"new_keys": 0 * made["new_keys"]},
           "values are one place off": lambda made: made | {
               "new_values": np.roll(made["new_values"].data, 1, 3)},
           "layers change places": lambda made: made | {"new_keys": made["new_keys"].data[:, ::-1]}}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_cache_that_is_wrong_is_found(name):
    """The law above kills planted mutants."""
    network, tokens = model(), np.array([3, 1, 4, 1, 5, 9])
    every, step = logits(network, tokens[None])[0], CachedStep(network)
    predict = cached(lambda **inputs: MUTANTS[name](step(**inputs)), network)
    assert near(predict(tokens[:1]), every[0])
    assert not near(predict(tokens[:3]), every[2])


def test_every_weight_gets_a_gradient_and_a_text_is_learnt():
    network = model().train()
    x = np.tile(np.array([0, 1, 2, 3, 4, 5, 6, 7]), 20)
    x, y = x[:156].reshape(26, 6), x[1:157].reshape(26, 6)
    optimizer = nn.optim.Adam(network.parameters(), lr=1e-2)
    log = nn.train.fit(network, x, y, epochs=30, optimizer=optimizer, batch_size=8, progress=False,
                       loss=nn.language.next_token_loss, rng=np.random.default_rng(0))
    assert log[-1].loss < 0.1 * log[0].loss
    assert log[-1].accuracy is None
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_sampling_follows_the_distribution_and_the_generator():
    p = np.array([0.1, 0.6, 0.3])

    def draws(seed, **how):
        return sample(lambda tokens: np.log(p), np.array([0]), 3000, rng=np.random.default_rng(seed), **how)

    assert (draws(0) == draws(0)).all()
    assert (draws(0) != draws(1)).any()
    for temperature in (1.0, 0.5):
        wanted = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
        found = np.bincount(draws(2, temperature=temperature), minlength=3) / 3000
        assert np.abs(found - wanted).max() < 5 * np.sqrt(0.25 / 3000)
    assert (draws(0, temperature=0) == 1).all()


def test_errors_name_what_is_wrong():
    network, rng = model(), np.random.default_rng(0)
    predict = cached(CachedStep(network), network)
    with pytest.raises(ValueError, match="heads=3 must divide width=8"):
        model(heads=3)
    with pytest.raises(ValueError, match="vocabulary"):
        model(vocabulary=0)
    with pytest.raises(ValueError, match="7 tokens came, and the context is 6"):
        logits(network, np.zeros((1, 7), int))
    with pytest.raises(ValueError, match=r"^CharTransformer: wanted an input of shape \(N, T\), got \(3,\)$"):
        logits(network, np.zeros(3, int))
    with pytest.raises(ValueError, match="7 tokens came, and the model's context is 6"):
        sample(predict, np.arange(4), 5, rng=rng)
    with pytest.raises(ValueError, match="tokens of the call before"):
        predict(np.array([5]))
    with pytest.raises(ValueError, match="the prompt is empty"):
        sample(predict, np.array([], int), 5, rng=rng)
    with pytest.raises(ValueError, match="temperature"):
        sample(predict, np.arange(2), 5, temperature=-1, rng=rng)
    with pytest.raises(TypeError, match="rng"):
        sample(predict, np.arange(2), 5, rng=0)
    for prompt in ("abc", [0.5], [[1, 2]]):
        with pytest.raises(TypeError, match=r"the prompt must be tokens \(T,\), integers"):
            sample(predict, prompt, 5, rng=rng)
    for bad in (np.full(3, np.nan), np.zeros((1, 3)), np.array([0, np.inf]), np.full(3, -np.inf), []):
        for temperature in (0, 1):
            with pytest.raises(ValueError, match=r"predict must give logits \(vocabulary,\)"):
                sample(lambda tokens, bad=bad: bad, [1], 2, temperature=temperature, rng=rng)
    with pytest.raises(ValueError, match="whole: context must be a whole number >= 1, got 0"):
        whole(network, 0)
    with pytest.raises(TypeError, match="cached: model must be a CharTransformer, got int"):
        cached(CachedStep(network), 3)
    for shape, tokens in (((2, 3, 5), (3, 2)), ((2, 3, 5), (2, 4)), ((6, 5), (6,))):
        with pytest.raises(ValueError, match=r"next_token_loss: logits .* do not fit; wanted \(N, T, voc"):
            next_token_loss(nn.zeros(*shape), nn.zeros(*tokens, dtype=int))
    for scores, tokens in ((3, nn.zeros(2, 3)), (nn.zeros(2, 3, 5), [[0, 1, 2]] * 2)):
        with pytest.raises(TypeError, match=r"next_token_loss: .* must be a Tensor or an array"):
            next_token_loss(scores, tokens)
    step = CachedStep.example(network, np.zeros((1, 1), int)) | {"position": np.array([[6]])}
    with pytest.raises(IndexError, match="rows 0 to 5"):
        CachedStep(network)(*map(nn.Tensor, step.values()))
    with pytest.raises(TypeError, match="CachedStep: model must be a CharTransformer, got int"):
        CachedStep(3)
    for shape in ((3,), (1, 7), (1, 0), (0, 3)):
        with pytest.raises(ValueError, match=r"must have shape \(N, T\), T at most 6, .* got \("):
            CachedStep.example(network, np.zeros(shape, int))
    for tokens in ([[1, 2]], np.zeros((1, 2))):
        with pytest.raises(TypeError, match=r"CachedStep\.example: tokens must be .*integers, got"):
            CachedStep.example(network, tokens)


@pytest.mark.parametrize("caches", [False, True])
def test_what_reads_a_text_refuses_what_is_none(caches):
    network = model()
    predict = cached(CachedStep(network), network) if caches else whole(network, 6)
    for tokens in ([0.5], [[1, 2]], "abc", None, 3):
        with pytest.raises(TypeError, match=r"(cached|whole): tokens must be tokens \(T,\), integers"):
            predict(tokens)
    with pytest.raises(ValueError, match=r"(cached|whole): tokens is empty"):
        predict(np.array([], int))
    assert near(predict([1, 2]), logits(network, np.array([[1, 2]]))[0, -1])


@pytest.mark.parametrize(("error", "message", "call"), [
    (TypeError, "whole: model must be a Module or a Program, got int", lambda network: whole(3, 5)),
    (ValueError, "whole: context is 7, and that of the model 6", lambda network: whole(network, 7)),
    (ValueError, r"whole: the model must give logits \(1, 5, vocabulary\), got \(1, 5\)",
     lambda network: whole(lambda x: x, 5)([1])),
    (TypeError, "cached: step must be a CachedStep, or a Program of one", lambda network: cached(3, network)),
    (TypeError, "sample: predict must be a function", lambda network: sample(3, [1], 2, rng=None)),
    (TypeError, r"sample: predict must give logits \(vocabulary,\), floats, got complex",
     lambda network: sample(lambda tokens: np.array([1j]), [1], 2, rng=np.random.default_rng()))])
def test_what_is_no_model_is_named(error, message, call):
    with pytest.raises(error, match=message):
        call(model())


@pytest.mark.parametrize("temperature", [0, 1e-320, 1, 1e308])
def test_logits_as_far_apart_as_floats_can_be(temperature):
    far = sample(lambda tokens: np.array([-1e308, 1e308]), [0], 3, temperature=temperature,
                 rng=np.random.default_rng(0))
    assert far.tolist() == [1, 1, 1] or temperature == 1e308  # where 2 is between them


@pytest.mark.parametrize("name", ["token", "position", "keys", "values"])
def test_a_step_takes_a_cache_of_its_own_shape(name):
    """Another one would broadcast, or be cut, in silence."""
    network = model()
    example = CachedStep.example(network, np.zeros((2, 1), int))
    inputs = {key: nn.Tensor(value) for key, value in example.items()}
    right = inputs[name].data
    for wrong in (right[:1], np.concatenate([right, right], 1), right[..., None], right[0]):
        with pytest.raises(ValueError, match=rf"CachedStep: (position|{name}) must be \("):
            CachedStep(network)(**inputs | {name: nn.Tensor(wrong)})
