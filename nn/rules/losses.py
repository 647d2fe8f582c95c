"""Losses, a value for each example or entry: functional/losses.py averages them."""

import numpy as np

from .. import kernels
from .checks import classes_fit
from .functions import logistic, times_sign
from .record import CONSTANT, DERIVED, Rule, rule
from .samples import beside, between, cases


@rule("y = log Σeˣ − x[class];  dx = g·(softmax(x) − onehot(class))",
    lambda g, saved, needs: (kernels.softmax_cross_entropy_grad(g, *saved), None),
    jvp=lambda t, i, saved, out: (saved[0] * t).sum(1) - t[np.arange(len(saved[0])), saved[1]],
    twin=lambda logits, classes: -logits.log_softmax(1)[np.arange(len(classes)), classes], fresh=True,
    samples=cases((beside(0, 6, (4, 5)), np.array([0, 4, 2, 2]), {})))
def cross_entropy(logits, classes):
    if logits.ndim != 2 or classes.shape != logits.shape[:1]:
        raise ValueError(f"cross_entropy: logits of shape {logits.shape} do not fit classes of shape "
                         f"{classes.shape}; wanted (N, C) and (N,)")
    classes_fit("cross_entropy", classes, logits)
    losses, p = kernels.softmax_cross_entropy(logits, classes)
    return losses, (p, classes.copy())  # a copy: they may be written to before backward


def _same(op, a, b):
    a, b = getattr(a, "shape", ()), getattr(b, "shape", ())
    if a != b:  # broadcasting would compare every prediction with every target
        raise ValueError(f"{op}: the input has shape {a} and the target {b}; they must be equal")


def _difference(op, a, b):
    _same(op, a, b)
    return a - b


mse = Rule("mse", "y = (a − b)²;  da = 2g(a − b), db = −da",
    lambda a, b: ((d := _difference("mse", a, b)) * d, (d,)),
    lambda g, saved, needs: (da := 2 * g * saved[0], -da), twin=lambda a, b: (a - b) ** 2, saves=(DERIVED,),
    derive=lambda a, b: (a - b,), samples=cases(((3, 4), (3, 4), {})), fresh=True, symmetric=True)


# Two arrays whose entries differ by 0.1 to 0.9, or by 1.1 to 2.
_near, _far = ((beside(low + 0.2, low + 0.8, (3, 4)), between(-0.1, 0.1, (3, 4))) for low in (0, 1.0))

l1 = Rule("l1", "y = |a − b|;  da = g·sign(a − b), db = −da",
    lambda a, b: (np.abs(d := _difference("l1", a, b)), (d,)),
    lambda g, saved, needs: (da := times_sign(g, saved[0]), -da), twin=lambda a, b: (a - b).abs(),
    samples=cases((*_near, {})), saves=CONSTANT, fresh=True, symmetric=True)


# Huber, "Robust estimation of a location parameter" (1964).
@rule("y = d²/2 where |d| ≤ δ, else δ(|d| − δ/2), d = a − b;  da = g·min(max(d, −δ), δ), db = −da",
    lambda g, saved, needs: (da := g * saved[0], -da), twin=lambda a, b, *, delta=1.0: (
        0.5 * (a - b) ** 2).where((a - b).abs() <= delta, delta * ((a - b).abs() - 0.5 * delta)),
    samples=cases((*_near, {}), (*_far, {}), (*_far, {"delta": 1.05})), saves=(DERIVED,),
    derive=lambda a, b, *, delta=1.0: ((a - b).clamp(-delta, delta),), fresh=True, symmetric=True)
def huber(a, b, *, delta=1.0):
    d = _difference("huber", a, b)
    cut = np.minimum(np.maximum(d, -delta), delta)
    return cut * (d - 0.5 * cut), (cut,)


def _kl_vjp(g, saved, needs):
    x, t, log_target = saved
    if log_target:
        dx = -g * np.exp(t)
        return dx, needs[1] and dx * (x - t - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return -g * t, needs[1] and g * (np.log(t) + 1 - x)


_logs = between(-2.3, 0, (3, 4))


# Kullback & Leibler, "On information and sufficiency" (1951).
@rule("y = t·(log t − x), or eᵗ·(t − x) of a log target;  dx = −g·t, dt = g·(log t + 1 − x), "
    "or −g·eᵗ and g·eᵗ·(t − x + 1)", _kl_vjp,
    samples=cases((_logs, between(0.1, 1, (3, 4)), {}), (_logs, _logs, {"log_target": True})),
    twin=lambda x, t, *, log_target=False: t.exp() * (t - x) if log_target else t * (t.log() - x),
    saves=(0, 1, CONSTANT), fresh=True, symmetric=True)
def kl_div(x, t, *, log_target=False):
    _same("kl_div", x, t)
    if log_target:
        return np.exp(t) * (t - x), (x, t, True)
    with np.errstate(divide="ignore", invalid="ignore"):  # t·log t is 0 at t = 0
        y = np.where(t == 0, 0, t * np.log(t)) - t * x
    return y, (x, t, False)


def _bce_vjp(g, saved, needs):
    x, t, p, softplus, s = saved
    if p is None:
        return g * (s - t), needs[1] and -g * x, None
    return (g * ((1 - t) - (1 - s) * (1 + (p - 1) * t)), needs[1] and g * ((p - 1) * softplus - x),
            needs[2] and g * t * softplus)


@rule("y = −p·t·log σ(x) − (1 − t)·log σ(−x);  dx = g·(σ(x) − t) (p = 1), dt = −g·x, dp = −g·t·log σ(x)",
    _bce_vjp, saves=(0, 1, 2, DERIVED, DERIVED), twin=lambda x, t, p: (
        -(1 if p is None else p) * t * x.logsigmoid() - (1 - t) * (-x).logsigmoid()),
    samples=cases(*(((3, 4), between(0, 1, (3, 4)), p, {}) for p in (None, between(0.5, 3, (4,))))),
    derive=lambda x, t, pos_weight: (-x.logsigmoid(), x.sigmoid()), fresh=True, symmetric=True)
def binary_cross_entropy_with_logits(x, t, pos_weight):
    """(1 − t)·x + (1 + (p − 1)·t)·log(1 + e⁻ˣ), the logarithm without overflow."""
    _same("binary_cross_entropy_with_logits", x, t)
    softplus = np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)
    scaled = softplus if pos_weight is None else softplus * (1 + (pos_weight - 1) * t)
    return (1 - t) * x + scaled, (x, t, pos_weight, softplus, logistic(x))
