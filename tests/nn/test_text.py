"""Text as tokens and windows, and what an ideal coder takes for it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn.data import Vocabulary, windows
from nn.language import bits_per_byte


@given(st.binary(min_size=1, max_size=80), st.binary(max_size=40))
def test_bytes_that_were_seen_come_back_and_others_are_unknown(seen, text):
    words = Vocabulary(seen)
    tokens = words.encode(text)
    assert words.size == len(set(seen)) + 1
    for byte, token in zip(text, tokens, strict=True):
        assert (token == words.unknown) == (byte not in seen)
        assert token == words.unknown or words.bytes[token] == byte
    back = bytes(words.bytes[token] for token in words.encode(seen))
    assert back == seen


def test_text_comes_back_but_for_what_is_unknown():
    words = Vocabulary("naïve – ".encode())
    assert words.decode(words.encode("naïve")) == "naïve"
    assert words.decode(words.encode("vex")) == "ve\ufffd"
    with pytest.raises(ValueError, match="tokens go from 0 to"):
        words.decode(np.array([words.size]))


@given(st.integers(1, 9), st.integers(20, 300), st.floats(0.1, 0.5))
def test_windows_are_side_by_side_and_targets_are_one_further(context, length, part):
    text = np.random.default_rng(length).integers(97, 110, length).astype(np.uint8).tobytes()
    held = round(part * length)
    if min(held, length - held) <= context:
        with pytest.raises(ValueError, match="too short"):
            windows(text, context, part)
        return
    data = windows(text, context, part)
    for x, y, piece in ((data.x_train, data.y_train, text[:length - held]),
                        (data.x_test, data.y_test, text[length - held:])):
        tokens = data.vocabulary.encode(piece)
        assert x.shape == y.shape == ((len(piece) - 1) // context, context)
        assert (x.ravel() == tokens[:x.size]).all()
        assert (y.ravel() == tokens[1:x.size + 1]).all()
    assert data.vocabulary.bytes == bytes(sorted(set(text[:length - held])))


def test_pythons_own_text_is_there():
    text = nn.data.python_topics()
    assert 300_000 < len(text) < 1_000_000
    assert b"assert" in text
    data = windows(text, 64)
    assert len(data.x_train) > 8 * len(data.x_test) > 0
    held = data.validation_split(100)
    assert (held.x_test == data.x_train[-100:]).all()
    assert len(held.x_train) == len(data.x_train) - 100
    with pytest.raises(ValueError, match="size must be in"):
        data.validation_split(len(data.x_train))


def test_an_even_guess_costs_the_logarithm_and_an_unknown_byte_eight_bits_more():
    data = windows(b"abcdabcd" * 10 + b"abzd" * 5, 3, 0.2)
    size = data.vocabulary.size

    def even(x):
        return np.zeros((*x.shape, size), np.float32)

    unknown = (data.y_test == data.vocabulary.unknown).mean()
    assert unknown > 0
    assert bits_per_byte(even, data.x_test, data.y_test, data.vocabulary) == pytest.approx(
        math.log2(size) + 8 * unknown)
    once = np.eye(size)[data.y_test]
    rows = iter(np.array_split(once, range(16, len(once), 16)))
    sharp = bits_per_byte(lambda x: 50 * next(rows), data.x_test, data.y_test, data.vocabulary)
    assert sharp == pytest.approx(8 * unknown)


def test_the_sum_is_that_of_single_losses():
    rng = np.random.default_rng(0)
    data = windows(bytes(rng.integers(97, 105, 200).astype(np.uint8)), 5, 0.3)
    logits = rng.standard_normal((*data.y_test.shape, data.vocabulary.size))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = -np.log2(np.take_along_axis(p, data.y_test[..., None], -1)).mean()
    given_, at = logits, iter(range(0, 99, 4))

    def model(x):
        start = next(at)
        return given_[start:start + len(x)]

    found = bits_per_byte(model, data.x_test, data.y_test, data.vocabulary, batch_size=4)
    assert found == pytest.approx(wanted)


def test_bad_input_is_named(tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    with pytest.raises(nn.FileError, match=r"empty\.txt: the text is empty"):
        nn.data.read_text(empty)
    with pytest.raises(OSError, match="none"):
        nn.data.read_text(tmp_path / "none")
    with pytest.raises(ValueError, match="the text is empty"):
        Vocabulary(b"")
    with pytest.raises(TypeError, match="bytes"):
        windows("text", 4)
    with pytest.raises(ValueError, match="held_out"):
        windows(b"text" * 9, 4, 0)
    for tokens in ([0.0], [[0]], "abc"):
        with pytest.raises(TypeError, match=r"decode: wanted tokens \(N,\), integers"):
            Vocabulary(b"abc").decode(tokens)
    data = windows(b"abcd" * 20, 4)
    for size in (0, 1.5, "1", len(data.x_train)):
        with pytest.raises(ValueError, match="validation_split: size must be in 1"):
            data.validation_split(size)
    with pytest.raises(ValueError, match="of this vocabulary go from 0 to 2, and y has 0 to 3"):
        bits_per_byte(lambda x: None, data.x_test, data.y_test, Vocabulary(b"ab"))
    with pytest.raises(TypeError, match=r"vocabulary must be a nn\.data\.Vocabulary"):
        bits_per_byte(lambda x: None, data.x_test, data.y_test, None)
    for y in (data.y_test.tolist(), data.y_test + 0.5):
        with pytest.raises(TypeError, match=r"bits_per_byte: y must be an array of tokens \(N, T\)"):
            bits_per_byte(lambda x: None, data.x_test, y, data.vocabulary)
    with pytest.raises(ValueError, match="must give logits"):
        bits_per_byte(lambda x: np.zeros((*x.shape, 2)), data.x_test, data.y_test, data.vocabulary)
    for size in (np.nan, np.inf, -np.inf, [1e308, -1e308, 0, 0, 0]):
        with pytest.raises(FloatingPointError, match="not finite"):
            bits_per_byte(lambda x, size=size: np.zeros((*x.shape, 5)) + size, data.x_test, data.y_test,
                          data.vocabulary)


@pytest.mark.parametrize(("error", "message", "how"), [
    (TypeError, "model must be a Module or a function of tokens, got int", {"model": 3}),
    (TypeError, r"y must be an array of tokens \(N, T\), integers, got float64", {"y": np.zeros((3, 4))}),
    (TypeError, "x must be an array of tokens .* got list", {"x": [[0]]}),
    (ValueError, r"\(N, T\) of one shape, .* got \(3, 4\) and \(2, 4\)", {"y": np.zeros((2, 4), int)}),
    (ValueError, r"at least, got \(0, 4\) and \(0, 4\)", dict.fromkeys("xy", np.zeros((0, 4), int))),
    (ValueError, "bits_per_byte: batch_size must be a whole number >= 1, got 0", {"batch_size": 0})])
def test_what_is_no_text_to_measure_on_is_named(error, message, how):
    tokens = np.zeros((3, 4), int)
    text = {"model": lambda x: np.zeros((*x.shape, 4)), "x": tokens, "y": tokens,
            "vocabulary": Vocabulary(b"abc")}
    assert bits_per_byte(**text) == 2
    with pytest.raises(error, match=message):
        bits_per_byte(**text | how)
