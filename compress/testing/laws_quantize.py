"""What Quantize promises beside the laws of every transform: the grid of Krishnamoorthi (2018), §3.1."""

import numpy as np

from nn.testing.case import Case

from ..formats.affine import Symmetric
from ..formats.format import SMALLEST
from ..stored import as_matrix, from_matrix, per_channel
from ..techniques.quantize import Quantize
from ..transform import Context
from .subject import Subject, own_laws, same, seen


def symmetric(subject: Subject) -> int:
    """The largest integer of the subject's format; 0 for one that is none of integers with a scale for each
    channel or block."""
    format = subject.stages[0].weights
    return format.highest if isinstance(format, Symmetric) and format.grouping != "tensor" else 0


def clips_where_that_errs_less(subject: Subject, case: Case) -> None:
    """With scales="mse" the squared error of each group is at most that of the scale that clips nothing, and
    no scale is larger than that."""
    (w,), stage = case.args, subject.stages[0]
    if stage.scales != "mse":
        return
    form, scales = stage.weights, (stage.weights.scales(w), stage.fit(w, Context()).scale)
    if not np.all(scales[1] <= scales[0]):
        raise AssertionError(f"a scale of {scales[1].max()} is beyond that which clips nothing")
    off = [as_matrix(w.astype(np.float64) - form.to_reals(form.to_codes(w, one), one)) for one in scales]
    size = form.grouping if isinstance(form.grouping, int) else off[0].shape[1]
    groups = range(0, off[0].shape[1], size) if form.grouping != "tensor" else ()
    widest, least = (np.add.reduceat(np.square(one), groups, axis=1) if groups else np.square(one).sum()
                     for one in off)
    if not np.all(least <= widest * (1 + 2.0**-20)):
        raise AssertionError(f"a group errs by {np.max(least - widest)} more than without clipping")


def rounds_half_to_even(subject: Subject, case: Case) -> None:
    """Weights half-way between two integers of the grid go to the even one."""
    (w,), rng, highest = case.args, case.rng(), symmetric(subject)
    if not highest or subject.stages[0].scales != "minmax":
        return
    k = as_matrix(rng.integers(-highest, highest, w.shape) + rng.choice([0, 0.5], w.shape))
    grouping = subject.stages[0].weights.grouping
    k[:, ::grouping if grouping != "channel" else k.shape[1]] = highest  # so that scales are the power of two
    k = from_matrix(k, w.shape)
    scale = 2.0 ** rng.integers(-20, 20)
    even = [round(number) for number in k.flat]  # Python's round is half to even
    wanted = np.array(even, np.float64).reshape(k.shape)
    got = seen(subject.attached((k * scale).astype(np.float32)))
    same(got, (wanted * scale + 0.0).astype(np.float32), f"grid of {scale}, weights half-way")


def fills_the_grid(subject: Subject, case: Case) -> None:
    """The largest weight of each channel stands on the largest integer exactly, and every weight on some
    integer within."""
    (w,), highest, parameter = case.args, symmetric(subject), subject.attached(*case.args)
    if not highest:
        return
    q = parameter.parametrization.encode(parameter.data).codes().astype(np.int64)
    largest = np.abs(w).reshape(len(w), -1).max(axis=1)
    reach = np.abs(q).max(axis=1)
    smallest = highest * SMALLEST  # below it, scales stop falling
    for channel in np.flatnonzero(largest >= smallest):
        if reach[channel] != highest:
            raise AssertionError(f"channel {channel} reaches {reach[channel]}, wanted ±{highest}")
    if reach.max() > highest:
        raise AssertionError(f"an integer of {reach.max()} leaves ±{highest}")


def channels_stand_alone(subject: Subject, case: Case) -> None:
    """Multiplying a channel by a power of two does exactly that to its result, and nothing to the others'."""
    (w,) = case.args
    if subject.stages[0].weights.grouping in ("none", "tensor"):
        return
    normal = np.abs(w).reshape(len(w), -1).max(axis=1) > 2.0**-80
    power = per_channel(np.where(normal, case.rng().integers(-20, 20, len(w)), 0), w.ndim)
    got, before = seen(subject.attached(np.ldexp(w, power))), seen(subject.attached(w))
    same(got, np.ldexp(before, power), "channels times powers of two")


own_laws(Quantize, rounds_half_to_even, fills_the_grid, channels_stand_alone, clips_where_that_errs_less)
