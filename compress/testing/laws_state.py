"""The laws of a transform's State: encode and project read the same one, and update moves it on."""

import numpy as np

from nn.optim import SGD
from nn.testing.case import Case

from ..transform import Invariant
from .laws import distance, step
from .subject import Law, Subject, largest, same, seen, through


def encodes_what_it_projects(subject: Subject, case: Case) -> None:
    """At a fixed state decode(encode(w)) is project(w) for any w: for another weight than the state was
    fitted to, and for weights on either side of a jump of project, where > and ≥ differ."""
    parameter = subject.finished(*case.args)
    chain, w = parameter.parametrization, parameter.data
    largest = np.float32(np.abs(w).max()) or np.float32(1)
    other = (case.rng().standard_normal(w.shape) * largest).astype(np.float32)
    for what, weight in (("another weight", other), *edges(chain, 2 * other)):
        decoded = chain.encode(weight).decode()
        same(decoded, through(chain, weight), f"decode(encode(w)) against project(w), {what}")


def edges(chain: object, far: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Neighbouring floats between 0 and `far`, entry by entry, between which what is seen of the entry jumps.

    By bisection, for all entries at once: magnitudes of floats are ordered as their bits are. (Where what is
    seen of an entry depends on other entries, any floats are found; the law must hold for those too.)"""
    sign, low, high = np.sign(far), np.zeros(far.shape, np.int32), np.abs(far).view(np.int32)

    def weight(bits: np.ndarray) -> np.ndarray:
        return (sign * bits.view(np.float32)).astype(np.float32)

    start = through(chain, weight(low))
    while np.any(high - low > 1):
        middle = low + (high - low) // 2
        stays = through(chain, weight(middle)) == start
        low, high = np.where(stays, middle, low), np.where(stays, high, np.maximum(middle, low + 1))
    return [("below a jump", weight(low)), ("above a jump", weight(high))]


def follows_the_weight(subject: Subject, case: Case) -> None:
    """After a step that made the weight four times as large, update has the state fit it: the error is within
    the bound, and no more than twice that of a state fitted anew. Where the state is trained in place of the
    weight, the weight is what is seen after a step."""
    (w,) = case.args
    parameter = subject.finished(w)
    trained = parameter.trainables()
    if any(stage.beside for stage in subject.stages):  # a gradient moves it
        return
    if any(tensor is not parameter for tensor in trained):
        step(parameter, SGD(trained, lr=0.1 * largest(trained)), case.rng())
        same(parameter.data, seen(parameter), "the weight after a step, against what is seen of it")
        return
    larger = parameter.data * np.float32(4)
    if not np.isfinite(larger).all():
        return
    parameter.data = larger.copy()
    parameter.parametrization.update(parameter, subject.end() + 1)
    error, anew = (distance(larger, chosen) for chosen in (parameter, subject.finished(larger)))
    bound, size = parameter.parametrization.bound(larger), parameter.parametrization.norm(larger)
    rounding = 2.0**-20 * size + w.size * 2.0**-126
    if not error <= 2 * anew + rounding:
        raise AssertionError(f"after a step and update ‖w − project(w)‖ is {error}, fitted anew {anew}")
    if bound is not None and not error <= bound:
        raise AssertionError(f"after a step and update ‖w − project(w)‖ is {error}, the bound {bound}")


def ends_its_schedule(subject: Subject, case: Case) -> None:
    """After the last step of a schedule as many weights are zero as without the schedule."""
    for stage in subject.stages:
        if not stage.end or Invariant.SUPPORT not in stage.makes:
            continue
        alone, (w,) = Subject("", (stage,)), case.args
        found = np.count_nonzero(seen(alone.finished(w)) == 0)
        wanted = np.count_nonzero(seen(Subject("", (stage.ended(),)).attached(w)) == 0)
        if found != wanted:
            raise AssertionError(f"after step {stage.end}, its last, {found} weights are 0, wanted {wanted}")


STATE_LAWS: tuple[Law, ...] = (encodes_what_it_projects, follows_the_weight, ends_its_schedule)
