"""Attention in time linear in the lengths: e^(q·k) as a product of features of q and of k, or by landmarks.

A softmax's weights are e^(q·k/√E), less what cancels. Where that is φ(q)·φ(k), attention is

    φ(Q)·(φ(K)ᵀ·V) / φ(Q)·Σφ(K)

and no matrix of all queries and keys is needed. With x = q/E^¼, y = k/E^¼ and normal ω, for any x and y

    E exp(ω·x − ½‖x‖²)·exp(ω·y − ½‖y‖²) = e^(x·y)      positive features (Choromanski et al. 2021, lemma 1)
    e^½‖x‖²·e^½‖y‖²·E cos ω·(x − y)     = e^(x·y)      trigonometric ones (Rahimi & Recht 2007)

In both it is half the squared norm. The layers here take (…, L, E), (…, S, E) and (…, S, V) as
F.scaled_dot_product_attention does, or go into MultiheadAttention(…, attention=…).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import functional as F
from ..functional.half import rounded_once
from ..module import Module
from ..parameter import Parameter
from ..random import chosen
from ..tensor import Operand, Tensor
from .checks import flags, number, positive, wrong_input

LIMITS = np.finfo(np.float32)
CHUNK = 128  # queries of a causal attention that are done at a time


def gaussian(features: int, width: int, orthogonal: bool, rng: np.random.Generator) -> np.ndarray:
    """Normal ω as rows, float32 (features, width); or, `orthogonal`, such that each `width` of them are at
    right angles, with the lengths of normal ones: each alone is still normal, and the estimates of e^(x·y)
    vary less (Choromanski et al. 2021, theorem 2). LAPACK's signs are no chance: with them e^(x·y) has a bias
    (Mezzadri 2007)."""
    if not orthogonal:
        return rng.standard_normal((features, width)).astype(np.float32)
    q, r = np.linalg.qr(rng.standard_normal((-(-features // width), width, width)))
    rows = (q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[:, None]).mT.reshape(-1, width)[:features]
    lengths = np.linalg.norm(rng.standard_normal((features, width)), axis=1, keepdims=True)
    return (rows * lengths).astype(np.float32)


class LinearAttention(Module):
    """Attention by features: `of(x)` gives those of queries or of keys as φ and m, (…, L, features) and
    (…, L, 1), for φ·e^m: so neither overflows. Of a query, e^m cancels.

    What `of` makes of a key must not depend on other keys: then a causal layer sees no future, to the bit.
    """

    of: Callable[[Tensor], tuple[Tensor, Tensor]]  # a method of each subclass

    @rounded_once
    def forward(self, query: Operand, key: Operand, value: Operand, is_causal: bool = False) -> Tensor:
        """(…, L, E), (…, S, E), (…, S, V) → (…, L, V). is_causal: query i sees the keys 0 … i; then L = S.
        Without keys all is 0. Raises ValueError for shapes that do not fit, TypeError for what are no floats.
        """
        query, key, value = _checked(self, query, key, value)
        is_causal = flags(self, is_causal=is_causal)["is_causal"]
        (q, _), (k, m) = self.of(query), self.of(key)
        if not key.shape[-2]:
            return q @ (k.mT @ value)  # sums of nothing
        ones = np.ones((*value.shape[:-1], 1), value.dtype)  # with them, the sum of the weights is a column
        values = F.cat([value, Tensor(ones)], -1)
        if is_causal:
            if query.shape[-2] != key.shape[-2]:
                raise ValueError(f"{type(self).__name__}: is_causal needs as many queries as keys, got "
                                 f"{query.shape[-2]} and {key.shape[-2]}")
            found = _causal(q, k, m, values)
        else:  # less the largest m of all keys, which cancels
            found = q @ (k.mT @ (values * (m - m.amax(-2, keepdim=True).detach()).exp()))
        return found[..., :-1] / found[..., -1:]


def _checked(layer, *arrays):
    q, k, v = arrays = [x if isinstance(x, Tensor) else Tensor(x) for x in arrays]
    if min(len(x.shape) for x in arrays) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError(f"{type(layer).__name__}: query {q.shape}, key {k.shape} and value {v.shape} do not "
                         "fit; wanted (…, L, E), (…, S, E) and (…, S, V)")
    for name, x in zip(("query", "key", "value"), arrays, strict=True):
        if x.dtype.kind != "f":
            raise TypeError(f"{type(layer).__name__}: {name} is {x.dtype}, wanted floats")
    try:
        np.broadcast_shapes(*(x.shape[:-2] for x in arrays))
    except ValueError:
        raise ValueError(f"{type(layer).__name__}: query {q.shape}, key {k.shape} and value {v.shape} do not "
                         "fit: the axes before the last two must broadcast") from None
    return arrays


def _causal(q, k, m, values):
    """Query i times the sum over keys 0 … i of their features times values: sums of the chunks before, and
    within a chunk its own products (Katharopoulos et al. 2020, eq. 9 to 11, a chunk at a time).

    What is subtracted from m is the largest so far, of the keys 0 … i: not one of a key to come."""
    length = q.shape[-2]
    chunk = min(CHUNK, max(length, 1))
    more = -length % chunk
    q, k, m, values = (F.pad(x, (0, 0, 0, more)) if more else x for x in (q, k, m, values))
    chunks = (length + more) // chunk
    top = np.maximum.accumulate(m.data, axis=-2)
    q, k, m, values, top = (x.reshape(*x.shape[:-2], chunks, chunk, x.shape[-1])
                            for x in (q, k, m, values, top))
    last = top[..., -1:, :]  # of each chunk; and of the one before it
    before = np.concatenate([top[..., :1, :1, :], last[..., :-1, :, :]], -3)
    sums = k.mT @ (values * (m - last).exp())
    past = [Tensor(np.zeros_like(sums.data[..., 0, :, :]))]
    for i in range(chunks - 1):
        past.append(past[-1] * np.exp(before - last)[..., i, :, :] + sums[..., i, :, :])
    sees = F.where(np.tri(chunk, dtype=bool), m.mT - top, -np.inf).exp()
    found = q @ F.stack(past, -3) * np.exp(before - top) + (q @ k.mT * sees) @ values
    return found.reshape(*found.shape[:-3], chunks * chunk, found.shape[-1])[..., :length, :]


class RandomFeatures(LinearAttention):
    """Attention by features of ω·x for random ω: `projection`, float32 (features, embed_dim), which queries
    and keys share; part of the state, not trained."""

    def __init__(self, embed_dim: int, features: int = 256, orthogonal: bool = True, *,
                 rng: np.random.Generator | None = None) -> None:
        positive(self, embed_dim=embed_dim, features=features)
        flags(self, orthogonal=orthogonal)
        self.embed_dim, self.features, self.orthogonal = embed_dim, features, orthogonal
        self.register_buffer("projection", np.empty((features, embed_dim), np.float32))
        self.redraw(rng)

    def redraw(self, rng: np.random.Generator | None = None) -> None:
        """Draw ω anew: now and then while training, so that no network fits itself to one draw."""
        rng = chosen(type(self).__name__, "rng", rng)
        self.projection[...] = gaussian(self.features, self.embed_dim, self.orthogonal, rng)

    def along(self, x: Tensor) -> Tensor:
        """ω·x for every ω: (…, L, features) for x (…, L, E). Raises ValueError for another E."""
        if x.shape[-1] != self.embed_dim:
            raise wrong_input(self, x, f"(…, L, {self.embed_dim})")
        return x @ self.projection.T.astype(x.dtype, copy=False)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """ω·x/E^¼ for every ω, and ½‖x/E^¼‖², for x (…, L, E)."""
        x = x * self.embed_dim ** -0.25
        return self.along(x), (x * x).sum(-1, keepdim=True) * 0.5

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, features={self.features}, orthogonal={self.orthogonal}"


class FavorAttention(RandomFeatures):
    """Positive random features: FAVOR+ of the Performer (Choromanski et al. 2021).

    embed_dim: the width E of queries and keys. features: how many; the error falls as 1/√features, where q
    and k are small. orthogonal: whether ω are at right angles. eps: added to every feature, so that no sum is
    0; a share, 0 to 1, of the largest of the same query or key. rng: draws ω; nn.random.generator() if left
    out. Raises ValueError for invalid sizes and another eps.
    """

    def __init__(self, embed_dim: int, features: int = 256, orthogonal: bool = True, eps: float = 1e-6, *,
                 rng: np.random.Generator | None = None) -> None:
        super().__init__(embed_dim, features, orthogonal, rng=rng)
        self.eps = number(self, "eps", eps, 0, 1)

    def of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """exp(ω·x − ½‖x‖²), as exp(ω·x − m) with the largest ω·x as m, and m − ½‖x‖²."""
        inner, half = self.projected(x)
        m = inner.amax(-1, keepdim=True)
        return (inner - m).exp() + self.eps, m - half


class RandomFourierAttention(RandomFeatures):
    """Trigonometric random features, of the same mean: e^½‖x‖²·(cos ω·x, sin ω·x) (Rahimi & Recht 2007).

    The estimate of a small weight may be negative, and that of a sum of weights near 0: the reason for
    positive features. embed_dim: the width E of queries and keys. features: how many ω; each gives two.
    orthogonal: whether they are at right angles. rng: draws them; nn.random.generator() if left out. Raises
    ValueError for invalid sizes.
    """

    def of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(cos ω·x, sin ω·x), and ½‖x‖²."""
        inner, half = self.projected(x)
        return F.cat([inner.cos(), inner.sin()], -1), half


class RandomFeatureAttention(RandomFeatures):
    """RFA (Peng et al. 2021): queries and keys of length 1, for which e^(x·y/σ²) is, but for a factor, the
    mean of cos ω·(x − y)/σ.

    embed_dim: the width E of queries and keys. features: how many ω; each gives two. orthogonal: whether they
    are at right angles. sigma: the first σ > 0, which is trained. rng: draws ω; nn.random.generator() if left
    out. Raises ValueError for invalid sizes and another sigma.
    """

    def __init__(self, embed_dim: int, features: int = 256, orthogonal: bool = True, sigma: float = 1.0, *,
                 rng: np.random.Generator | None = None) -> None:
        super().__init__(embed_dim, features, orthogonal, rng=rng)
        number(self, "sigma", sigma, float(LIMITS.tiny), float(LIMITS.max))
        self.sigma = Parameter(np.full((), sigma, np.float32))

    def of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(cos ω·x̂/σ, sin ω·x̂/σ) for x̂ = x/‖x‖, and 0."""
        length = ((x * x).sum(-1, keepdim=True) + 1e-12) ** 0.5
        inner = self.along(x / length) / self.sigma.parametrized()
        return F.cat([inner.cos(), inner.sin()], -1), Tensor(np.zeros_like(length.data))


class NystromAttention(Module):
    """The Nyström method (Xiong et al. 2021, eq. 13): softmax(Q·K̃ᵀ)·softmax(Q̃·K̃ᵀ)⁺·softmax(Q̃·Kᵀ)·V.

    Q̃ and K̃ are means of `landmarks` segments of the queries and of the keys; the inverse is found by
    `iterations` steps of eq. 11. It can't be causal: a mean of a segment sees its future. Raises ValueError
    for invalid sizes.
    """

    def __init__(self, landmarks: int = 64, iterations: int = 6) -> None:
        positive(self, landmarks=landmarks, iterations=iterations)
        self.landmarks, self.iterations = landmarks, iterations

    @rounded_once
    def forward(self, query: Operand, key: Operand, value: Operand, is_causal: bool = False) -> Tensor:
        """(…, L, E), (…, S, E), (…, S, V) → (…, L, V). Raises ValueError for shapes that do not fit, and for
        is_causal."""
        if flags(self, is_causal=is_causal)["is_causal"]:
            raise ValueError("NystromAttention: is_causal is not possible: a landmark sees the future")
        query, key, value = _checked(self, query, key, value)
        query = query * (query.shape[-1] or 1) ** -0.5
        q, k = (_segments(x.shape[-2], self.landmarks, x.dtype) @ x for x in (query, key))
        from_landmarks, among = F.softmax(query @ k.mT), F.softmax(q @ k.mT)
        found = F.scaled_dot_product_attention(q, key, value, scale=1.0)
        return from_landmarks @ (_inverse(among, self.iterations) @ found)

    def extra_repr(self) -> str:
        return f"landmarks={self.landmarks}, iterations={self.iterations}"


def _segments(length, landmarks, dtype):
    """(segments, length): the rows take the means of segments as equal as can be."""
    count = min(landmarks, max(length, 1))
    which = np.arange(length) * count // max(length, 1)
    ones = (which == np.arange(count)[:, None]).astype(dtype)
    return Tensor(ones / np.maximum(ones.sum(1, keepdims=True), 1))


def _inverse(a, iterations):
    """The pseudoinverse of a, whose rows sum to 1 (Razavi et al. 2014; Xiong et al. 2021, eq. 11). It is not
    square where there are fewer queries, or keys, than landmarks."""
    one = np.eye(a.shape[-2], dtype=a.dtype)
    z = a.mT / a.sum(-2, keepdim=True).amax(-1, keepdim=True).detach()
    for _ in range(iterations):
        az = a @ z
        z = z @ (13 * one - az @ (15 * one - az @ (7 * one - az))) * 0.25
    return z
