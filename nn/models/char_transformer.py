"""A small language model: which symbol comes next, of a text that is read symbol by symbol.

It is a transformer of the kind of GPT-2 (Radford et al. 2019): Vaswani et al. (2017) without the encoder,
with the norms before what they normalise (Xiong et al. 2020). All symbols of all texts go through it at once;
a mask keeps what comes later from what is to guess it.

CachedStep is the same function, one symbol after the other: what attention needs of the symbols before, their
keys and values, is kept and not computed again."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .. import init
from ..arguments import count, flag, instance
from ..context import no_grad
from ..layers import Embedding, LayerNorm, Linear, ModuleList
from ..layers.checks import shape_of, wrong_input
from ..module import Module
from ..random import chosen
from ..tensor import Tensor
from .digits import scaled


class Block(Module):
    """Attention of each symbol to those before it (`q`, `k`, `v`, `out`), then two linear layers with a GELU
    for each by itself (`up`, `down`); each adds to its input. width: of a symbol's vector. heads: how many
    attentions there are, each on width/heads numbers. rng: draws the first weights; nn.random.generator() if
    left out."""

    def __init__(self, width: int, heads: int, rng: np.random.Generator | None = None) -> None:
        self.heads = heads
        self.norm1, self.norm2 = LayerNorm(width), LayerNorm(width)
        self.q, self.k, self.v = (Linear(width, width, rng=rng) for _ in range(3))
        self.out = Linear(width, width, rng=rng)
        self.up = Linear(width, 4 * width, rng=rng)
        self.down = Linear(4 * width, width, rng=rng)

    def queries_keys_values(self, x: Tensor) -> list[Tensor]:
        """Queries, keys and values of x (N, T, width), each (N, heads, T, width/heads)."""
        (n, t, width), x = x.shape, self.norm1(x)
        return [layer(x).reshape(n, t, self.heads, width // self.heads).permute(0, 2, 1, 3)
                for layer in (self.q, self.k, self.v)]

    def after_attention(self, x: Tensor, found: Tensor) -> Tensor:
        """x (N, T, width) plus what attention `found` (N, heads, T, width/heads), plus what the linear layers
        make of that."""
        x = x + self.out(found.permute(0, 2, 1, 3).reshape(*x.shape))
        return x + self.down(F.gelu(self.up(self.norm2(x))))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, T, width) → the same shape; symbol t depends on the symbols 0 … t."""
        found = F.scaled_dot_product_attention(*self.queries_keys_values(x), is_causal=True)
        return self.after_attention(x, found)


class CharTransformer(Module):
    """Tokens (N, T), integers below `vocabulary`, to logits (N, T, vocabulary): at place t those of token
    t + 1, from the tokens 0 … t.

    vocabulary: how many tokens there are. width: of a token's vector, a multiple of `heads`. layers: how many
    blocks. context: the greatest T. tied: whether a token's logit is the product with the vector by which it
    is read (Press & Wolf 2017), so that there is one table of vectors and not two. rng: draws the first
    weights; nn.random.generator() if left out. Raises ValueError for invalid sizes, and in `forward` for a T
    that is longer than the context."""

    def __init__(self, vocabulary: int, width: int = 128, layers: int = 4, heads: int = 4, context: int = 128,
                 tied: bool = True, rng: np.random.Generator | None = None) -> None:
        for name, value in (("vocabulary", vocabulary), ("width", width), ("layers", layers),
                            ("heads", heads), ("context", context)):
            count("CharTransformer", name, value)
        tied = flag("CharTransformer", "tied", tied)
        if width % heads:
            raise ValueError(f"CharTransformer: heads={heads} must divide width={width}")
        rng = chosen("CharTransformer", "rng", rng)
        self.context, self.vocabulary = context, vocabulary
        self.token, self.position = Embedding(vocabulary, width, rng=rng), Embedding(context, width, rng=rng)
        for table in (self.token, self.position):  # so small that the first guess is nearly even
            init.normal_(table.weight, std=0.02, generator=rng)
        self.blocks = ModuleList([Block(width, heads, rng) for _ in range(layers)])
        self.norm = LayerNorm(width)
        self.head = None if tied else Linear(width, vocabulary, bias=False, rng=rng)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (N, T) → logits (N, T, vocabulary)."""
        shape = shape_of(self, tokens)
        if len(shape) != 2:
            raise wrong_input(self, tokens, "(N, T)")
        if shape[1] > self.context:
            raise ValueError(f"CharTransformer: {shape[1]} tokens came, and the context is {self.context}")
        x = self.token(tokens) + self.position(np.arange(shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.logits(x)

    def logits(self, x: Tensor) -> Tensor:
        """The logits (…, vocabulary) of what the blocks made (…, width)."""
        x = self.norm(x)
        return F.linear(x, self.token.weight.parametrized()) if self.head is None else self.head(x)

    def extra_repr(self) -> str:
        return f"vocabulary={self.vocabulary}, context={self.context}"


class CachedStep(Module):
    """A CharTransformer that reads one token of each text, and keeps the keys and values of those before.

        example = CachedStep.example(model, tokens)
        program = compress.convert(CachedStep(model), example, state=CachedStep.state)

    It shares the weights of `model`. Two arrays (N, layers, heads, context, width/heads) are the cache, zeros
    before the first token; `forward` gives what they are to be at the next. Raises TypeError for another
    model."""

    state = {"new_keys": "keys", "new_values": "values"}  # output → input of the next step

    def __init__(self, model: CharTransformer) -> None:
        self.model = instance("CachedStep", "model", model, CharTransformer, "a CharTransformer")

    @classmethod
    def example(cls, model: CharTransformer, tokens: np.ndarray) -> dict[str, np.ndarray]:
        """Inputs of `forward`: those of all steps through the tokens (N, T), one step after the other, T·N
        rows; at the first step the cache is empty. For compress.convert, which takes ranges from them. Raises
        TypeError for what are no tokens, ValueError for another shape, and for more than the context has."""
        step, (n, length) = cls(model), _tokens_shape(tokens, model.context)
        heads, width = model.blocks[0].heads, model.token.embedding_dim
        keys = values = np.zeros((n, len(model.blocks), heads, model.context, width // heads), np.float32)
        steps = []
        for t in range(length):
            steps.append({"token": tokens[:, t:t + 1].astype(np.int64), "position": np.full((n, 1), t),
                          "keys": keys, "values": values})
            if t + 1 < length:
                with no_grad():
                    made = step(*map(Tensor, steps[-1].values()))
                keys, values = made["new_keys"].data, made["new_values"].data
        return {name: np.concatenate([one[name] for one in steps]) for name in steps[0]}

    def forward(self, token: Tensor, position: Tensor, keys: Tensor, values: Tensor) -> dict[str, Tensor]:
        """token (N, 1), position (N, 1) from 0 → logits (N, vocabulary) of the next, new_keys and new_values.
        Raises IndexError for a position that the context does not have, ValueError for other shapes."""
        blocks, context = self.model.blocks, self.model.context
        n, heads, width = len(token), blocks[0].heads, self.model.token.embedding_dim
        cache = (n, len(blocks), heads, context, width // heads)
        for name, given, shape in (("token", token, (n, 1)), ("position", position, (n, 1)),
                                   ("keys", keys, cache), ("values", values, cache)):
            if given.shape != shape:
                raise ValueError(f"CachedStep: {name} must be {shape}, got {given.shape}")
        places = np.arange(context)
        here, seen = position == places, position >= places  # (N, context)
        x = self.model.token(token) + self.model.position(position)
        all_keys, all_values = [], []
        for i, block in enumerate(blocks):
            q, k, v = block.queries_keys_values(x)
            k, v = (F.where(here[:, None, :, None], new, old[:, i])
                    for new, old in ((k, keys), (v, values)))
            x = block.after_attention(x, F.scaled_dot_product_attention(q, k, v, seen[:, None, None]))
            all_keys.append(k)
            all_values.append(v)
        return {"logits": self.model.logits(x[:, 0]), "new_keys": F.stack(all_keys, 1),
                "new_values": F.stack(all_values, 1)}


def _tokens_shape(tokens: np.ndarray, context: int) -> tuple[int, int]:
    """(N, T) of tokens that `CachedStep.example` takes."""
    instance("CachedStep.example", "tokens", tokens, np.ndarray, "an array of integers")
    if tokens.dtype.kind not in "iu":
        raise TypeError(f"CachedStep.example: tokens must be integers, got {tokens.dtype}")
    if tokens.ndim != 2 or not tokens.size or tokens.shape[1] > context:
        raise ValueError(f"CachedStep.example: tokens must have shape (N, T), T at most {context}, and none "
                         f"of both 0, got {tokens.shape}")
    return tokens.shape


def char_transformer(width: float = 1.0, rng: np.random.Generator | None = None, vocabulary: int = 257,
                     context: int = 64) -> CharTransformer:
    """Two blocks, 64 wide, with four heads. `width` scales what is 64 wide, to a multiple of 4. vocabulary,
    context and rng as in CharTransformer. Raises ValueError for an invalid width."""
    return CharTransformer(vocabulary, 4 * scaled(width, 16)[0], 2, 4, context, rng=rng)
