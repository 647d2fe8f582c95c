"""A flag is True or False: "no" is neither, wherever one is taken."""

import inspect

import numpy as np
import pytest

import compress
import nn
from nn import functional as F

X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
IMAGE = nn.Tensor(X[None])


def t():
    return nn.Tensor(X, requires_grad=True)


FUNCTIONS = {
    "avg_pool1d": lambda **how: F.avg_pool1d(t(), 2, **how),
    "avg_pool2d": lambda **how: F.avg_pool2d(IMAGE, 2, **how),
    "batch_norm": lambda **how: F.batch_norm(t(), nn.zeros(3), nn.ones(3), **how),
    "dropout": lambda **how: F.dropout(t(), 0.5, **how),
    "interpolate": lambda **how: F.interpolate(IMAGE, 5, mode="bilinear", **how),
    "kl_div": lambda **how: F.kl_div(t(), X, **how),
    "max_pool1d": lambda **how: F.max_pool1d(t(), 2, **how),
    "max_pool2d": lambda **how: F.max_pool2d(IMAGE, 2, **how),
    "scaled_dot_product_attention": lambda **how: F.scaled_dot_product_attention(t(), t(), t(), **how)}
FIRST = {"topk": (2,), "new_full": ((2,), 1.0), "new_zeros": (2,), "new_ones": (2,), "max": (0,), "min": (0,)}
MEAN_NOTHING = {("sort", "stable"), ("argsort", "stable"), ("topk", "sorted")}


def flags_of(function):
    return [name for name, one in inspect.signature(function).parameters.items()
            if str(one.annotation).startswith("bool") and name != "self"]


def calls():
    """Of every function of nn.functional and every method of a Tensor: its name and a flag → the flag, and a
    call that takes it."""
    for name, function in vars(F).items():
        if inspect.isfunction(function):
            for flag in flags_of(function):
                yield f"F.{name} {flag}", (flag, FUNCTIONS[name])
    for name, method in inspect.getmembers(nn.Tensor, inspect.isfunction):
        for flag in [] if name.startswith("__") else flags_of(method):
            if (name, flag) not in MEAN_NOTHING:
                first = FIRST.get(name, ())
                yield f"{name} {flag}", (flag, lambda name=name, first=first, **how: getattr(
                    t().sum() if name == "backward" else t(), name)(*first, **how))


CALLS = dict(calls())
LINEAR = (nn.FavorAttention(4), nn.RandomFourierAttention(4), nn.RandomFeatureAttention(4),
          nn.NystromAttention(4))
HEADS = nn.MultiheadAttention(4, 2)
OTHERS = {
    "train": ("mode", nn.Linear(2, 2).train),
    "load_state_dict": ("strict", lambda **how: nn.Linear(2, 2).load_state_dict({}, **how)),
    **{f"MultiheadAttention {flag}": (flag, lambda **how: HEADS(X, X, X, **{"need_weights": False} | how))
       for flag in ("need_weights", "average_attn_weights", "is_causal")},
    **{type(layer).__name__: ("is_causal", lambda layer=layer, **how: layer(X, X, X, **how))
       for layer in LINEAR},
    "TransformerEncoderLayer": ("is_causal", lambda **how: nn.TransformerEncoderLayer(4, 2)(X, **how)),
    "Tensor": ("requires_grad", lambda requires_grad: nn.Tensor(X, requires_grad)),
    "grad": ("allow_unused", lambda **how: nn.grad(t().sum(), t(), **how)),
    "CharTransformer": ("tied", lambda **how: nn.models.CharTransformer(5, 4, 1, 2, 5, **how)),
    "batches": ("shuffle", lambda **how: nn.data.batches(X, X, 2, np.random.default_rng(0), **how)),
    "clip_grad_norm_": ("error_if_nonfinite", lambda **how: nn.optim.clip_grad_norm_(t(), 1.0, **how)),
    "convert": ("integer", lambda **how: compress.convert(nn.Linear(4, 2), X[0], **how)),
    "report": ("measured", lambda **how: compress.report(compress.convert(nn.Linear(4, 2), X[0]), **how)),
    "unprepare": ("project", lambda **how: compress.unprepare(nn.Linear(4, 2), **how)),
    "prune_channels": ("globally", lambda **how: compress.prune_channels(nn.Linear(4, 2), X[0], fraction=0.5,
                                                                         **how))}


@pytest.mark.parametrize("which", CALLS | OTHERS)
@pytest.mark.parametrize("value", ["no", 2, 0.0])
def test_no_is_no_flag(which, value):
    flag, call = (CALLS | OTHERS)[which]
    with pytest.raises(TypeError, match=rf"\b{flag}\b.* must be True or False"):
        call(**{flag: value})


@pytest.mark.parametrize("which", CALLS)
def test_the_calls_take_what_is_one(which):
    flag, call = CALLS[which]
    for value in (False, np.bool_(False)):
        call(**{flag: value})


def test_a_layer_takes_1_for_true_and_hands_on_true():
    pooled, inputs = (IMAGE,), (X, X)
    for layer, given in ((lambda yes: nn.AvgPool2d(2, ceil_mode=yes, count_include_pad=yes), pooled),
                         (lambda yes: nn.MaxPool2d(2, ceil_mode=yes), pooled),
                         (lambda yes: nn.KLDivLoss(log_target=yes), inputs)):
        assert (layer(1)(*given).data == layer(True)(*given).data).all()
