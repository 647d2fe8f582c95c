"""What a language model is trained by, measured by, and made to write."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import functional as F
from .arguments import count, instance, number
from .context import no_grad
from .data.minibatches import batches
from .data.text import Vocabulary
from .models.char_transformer import CachedStep, CharTransformer
from .module import Module, in_mode
from .tensor import Tensor

Step = Callable[..., Mapping[str, Any]]  # of a cache: a CachedStep, or a Program of one


def next_token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """The mean cross-entropy, in nats, of logits (N, T, vocabulary) for the tokens (N, T) that come next:
    fit(…, loss=next_token_loss). Raises ValueError for other shapes."""
    if logits.ndim != 3 or tokens.shape != logits.shape[:2]:
        raise ValueError(f"next_token_loss: logits {logits.shape} and tokens {tokens.shape} do not fit; "
                         "wanted (N, T, vocabulary) and (N, T)")
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens.reshape(-1))


def bits_per_byte(model: Callable[[Any], Any], x: np.ndarray, y: np.ndarray, vocabulary: Vocabulary, *,
                  batch_size: int = 16) -> float:
    """The mean of −log₂ p(byte | the bytes before it in its window): what an ideal coder takes for a byte.

    x, y (N, T): windows of tokens, and what comes next. model: a Module (in evaluation mode, without a graph;
    its mode is restored), or anything that maps tokens (N, T) to logits (N, T, vocabulary). vocabulary: that
    of the tokens. batch_size: windows at a time. A token `unknown` stands for any of 256 bytes, so its byte
    costs log₂ 256 = 8 bits more. Raises TypeError for what are no arrays of integers, ValueError for logits
    of another shape, and for what is no token of the vocabulary, FloatingPointError for logits that are not
    finite."""
    instance("bits_per_byte", "vocabulary", vocabulary, Vocabulary, "a nn.data.Vocabulary")
    for name, array in (("x", x), ("y", y)):
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "iu":
            raise TypeError(f"bits_per_byte: {name} must be tokens (N, T), integers, got {_said(array)}")
    if y.size and not 0 <= y.min() <= y.max() < vocabulary.size:
        raise ValueError(f"bits_per_byte: the tokens of this vocabulary go from 0 to {vocabulary.unknown}, "
                         f"and y has {y.min()} to {y.max()}")

    def measured() -> float:
        bits = 0.0
        with no_grad():
            for tokens, after in batches(x, y, batch_size, np.random.default_rng(0), shuffle=False):
                logits = model(Tensor(tokens) if isinstance(model, Module) else tokens)
                logits = np.asarray(logits.data if isinstance(logits, Tensor) else logits, np.float64)
                if logits.shape != (*after.shape, vocabulary.size):
                    raise ValueError(f"bits_per_byte: the model must give logits {after.shape} × "
                                     f"{vocabulary.size}, got {logits.shape}")
                top = logits.max(-1, keepdims=True)
                right = np.take_along_axis(logits - top, after[..., None], -1).sum()
                bits += (np.log(np.exp(logits - top).sum(-1)).sum() - right) / math.log(2)
        return bits

    bits = in_mode(model, False, measured) if isinstance(model, Module) else measured()
    if not math.isfinite(bits):
        raise FloatingPointError("bits_per_byte: the logits are not finite")
    return (bits + 8 * np.count_nonzero(y == vocabulary.unknown)) / y.size


def cached(step: Step, model: CharTransformer) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the tokens (T,) of one text to the logits (vocabulary,) of the next, which reads only
    what was added since it was called before.

    step: a CachedStep of `model`, or a Program of one. The function raises ValueError for tokens that do not
    begin with those of the call before, and for more than the context has: what slides out of a window of
    absolute positions can't stay in a cache; TypeError for what are no tokens (T,)."""
    instance("cached", "model", model, CharTransformer, "a CharTransformer")
    instance("cached", "step", step, Callable, "a CachedStep or a Program of one")
    rest = {name: array for name, array in CachedStep.example(model, np.zeros((1, 1), np.int64)).items()
            if name in CachedStep.state.values()}
    read: list[int] = []

    def logits(tokens: np.ndarray) -> np.ndarray:
        new = _line("cached", tokens).tolist()
        if len(new) > model.context:
            raise ValueError(f"cached: {len(new)} tokens came, and the model's context is {model.context}")
        if new[:len(read)] != read or len(new) == len(read):
            raise ValueError("cached: wanted the tokens of the call before, and at least one more")
        for position in range(len(read), len(new)):
            here = {"token": np.array([[new[position]]]), "position": np.array([[position]])}
            with no_grad():
                made = step(**here, **rest)
            rest.update({given: _plain(made[name]) for name, given in CachedStep.state.items()})
            read.append(new[position])
        return _plain(made["logits"])[0]

    return logits


def whole(model: Callable[[Any], Any], context: int) -> Callable[[np.ndarray], np.ndarray]:
    """The same by a `model`, a CharTransformer or its Program, which reads the last `context` tokens anew for
    each.

    A Program may have been converted for one length of windows: fewer tokens are filled up to it with what
    comes later, and changes nothing. Raises ValueError for a context that is no whole number above 0. The
    function raises ValueError for no token, TypeError for what are no tokens (T,)."""
    count("whole", "context", context)

    def logits(tokens: np.ndarray) -> np.ndarray:
        last = _line("whole", tokens)[-context:]
        filled = np.zeros((1, context), np.int64)
        filled[0, :len(last)] = last
        with no_grad():
            made = model(Tensor(filled) if isinstance(model, Module) else filled)
        return _plain(made)[0, len(last) - 1]

    return logits


def sample(predict: Callable[[np.ndarray], np.ndarray], prompt: np.ndarray, length: int, *,
           temperature: float = 1.0, rng: np.random.Generator) -> np.ndarray:
    """The tokens that follow `prompt` (T,), as many as `length`, each drawn from softmax(logits/temperature).

    predict: gives the logits (vocabulary,) for the tokens so far, as `cached` and `whole` do. temperature: 1
    draws as the model believes, less prefers what is likely; 0 takes the likeliest. Raises ValueError for an
    empty prompt, a negative temperature, logits of another shape or with NaN or +∞, and what `predict`
    refuses; TypeError for a prompt that is no tokens, and another rng."""
    count("sample", "length", length, 0)
    number("sample", "temperature", temperature)
    instance("sample", "rng", rng, np.random.Generator, "a numpy.random.Generator")
    tokens = _line("sample", prompt, "the prompt")
    for _ in range(length):
        logits = np.asarray(predict(tokens), np.float64)
        if logits.ndim != 1 or not math.isfinite(logits.max(initial=-math.inf)):
            raise ValueError("sample: predict must give logits (vocabulary,) without NaN or infinity, got "
                             f"{logits.shape}, the largest {logits.max(initial=-math.inf)}")
        shifted = logits - logits.max()
        if temperature:
            with np.errstate(over="ignore"):  # −∞ has the probability 0
                p = np.exp(shifted / temperature)
            token = int(rng.choice(len(p), p=p / p.sum()))
        else:
            token = int(shifted.argmax())
        tokens = np.append(tokens, token)
    return tokens[len(tokens) - length:]


def _line(who: str, given: Any, what: str = "the text") -> np.ndarray:
    """The tokens (T,) of one text, at least one, as int64. Raises TypeError or ValueError for others."""
    tokens = np.asarray(_plain(given))
    if not tokens.size:
        raise ValueError(f"{who}: {what} is empty; wanted one token at least")
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise TypeError(f"{who}: {what} must be tokens (T,), integers, got {_said(tokens)}")
    return tokens.astype(np.int64)


def _said(array: Any) -> str:
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__


def _plain(array: Any) -> np.ndarray:
    return array.data if isinstance(array, Tensor) else array
