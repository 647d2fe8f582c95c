"""Assignment 6: pruning

A trained network has weights that it can spare. Han et al. (2015) set the smallest to zero, train what is
left, and repeat. You write what that takes: a mask, a schedule, an optimizer that lets zeros be, and the
three curves of their figure 5, which show how much retraining gives back. `notebooks/08_pruning.py` prepares
this assignment.

1. A mask. Of n weights exactly k = round(sparsity · n) are pruned (Python's `round`), those of least
   magnitude |w|. Of equal magnitudes the first in the order of the array (C order) go.

2. A schedule (Zhu & Gupta 2017, eq. 1). From step t₀ to step t₁ the sparsity rises from sᵢ to s_f,

       s(t) = s_f + (sᵢ − s_f) · (1 − (t − t₀) / (t₁ − t₀))³ ,

   fast while there is much to spare and ever slower. Before t₀ it is sᵢ, after t₁ it is s_f.

3. A step of Adam (Kingma & Ba 2015, algorithm 1) that knows the mask. A pruned weight has no gradient, yet
   Adam would move it: what m remembers from before outlives the mask. With M the mask as zeros and ones,

       g ← M g      m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²
       w ← w − lr · m̂ / (√v̂ + ε),      m̂ = m / (1 − β₁ᵗ),   v̂ = v / (1 − β₂ᵗ)

   and then w, m and v are multiplied by M: a pruned weight is 0, and remembers nothing. t counts from 1.

4. Gradual pruning puts 1 to 3 together. In each of the steps t = 1, 2, …: a masked step of Adam with the
   gradient of the weights as they are, then a new mask for the sparsity s(t), with sᵢ = 0. The first mask
   prunes nothing. No pruned weight comes back: a zero is the smallest there is.

5. The three curves: the loss at each of some rising sparsities
     - when the trained weights w are pruned and nothing else is done,
     - when they are pruned and what is left is retrained,
     - when pruning and retraining take turns: each sparsity begins with what the one before it left.

Arrays that come in stay as they are: return new ones. Run this file to see which properties hold; more are
looked at when it is graded.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main


def magnitude_mask(w, sparsity):
    """bool, of w's shape: True where a weight stays, False for the round(sparsity · n) smallest."""
    ### BEGIN SOLUTION
    mask = np.ones(w.size, bool)
    order = np.argsort(np.abs(w), axis=None, kind="stable")
    mask[order[:round(sparsity * w.size)]] = False
    return mask.reshape(w.shape)
    ### END SOLUTION


def cubic_sparsity(t, begin, end, initial, final):
    """The sparsity at step t, a float: `initial` up to step `begin`, `final` from step `end` > begin on."""
    ### BEGIN SOLUTION
    done = min(max((t - begin) / (end - begin), 0), 1)
    return final + (initial - final) * (1 - done) ** 3
    ### END SOLUTION


def masked_adam_step(w, g, m, v, t, mask, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """The t-th step: new w, m and v, a tuple of three arrays. w, g, m, v and mask have one shape."""
    ### BEGIN SOLUTION
    g = g * mask
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    step = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    w = w - lr * step
    return w * mask, m * mask, v * mask
    ### END SOLUTION


def prune_gradually(w, gradient, steps, begin, end, sparsity, lr):
    """The weights after so many steps of training and pruning; `gradient(w)` is an array of w's shape."""
    ### BEGIN SOLUTION
    m, v, mask = np.zeros_like(w), np.zeros_like(w), np.ones(w.shape, bool)
    for t in range(1, steps + 1):
        w, m, v = masked_adam_step(w, gradient(w), m, v, t, mask, lr)
        mask = magnitude_mask(w, cubic_sparsity(t, begin, end, 0, sparsity))
        w = w * mask
    return w
    ### END SOLUTION


def prune_only(w, sparsities, loss):
    """The list of `loss(pruned w)`, a number for each sparsity."""
    ### BEGIN SOLUTION
    return [loss(w * magnitude_mask(w, sparsity)) for sparsity in sparsities]
    ### END SOLUTION


def prune_and_retrain(w, sparsities, train, loss):
    """The list of losses after retraining: `train(pruned w, mask)` returns the weights that it ends with."""
    ### BEGIN SOLUTION
    losses = []
    for sparsity in sparsities:
        mask = magnitude_mask(w, sparsity)
        losses.append(loss(train(w * mask, mask)))
    return losses
    ### END SOLUTION


def prune_iteratively(w, sparsities, train, loss):
    """The list of losses when each sparsity prunes what the one before it retrained."""
    ### BEGIN SOLUTION
    losses = []
    for sparsity in sparsities:
        mask = magnitude_mask(w, sparsity)
        w = train(w * mask, mask)
        losses.append(loss(w))
    return losses
    ### END SOLUTION


# What is graded. `student` is the module that was handed in. (Functions of your own stand above this line,
# and have other names than those below it.)

shapes = st.sampled_from([(1,), (2,), (7,), (10,), (3, 5), (4, 1), (2, 3, 4)])
seeds = st.integers(0, 2**16)
sparsities = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.7, 0.9, 0.95, 1.0])


def repeating(shape, seed):
    """Weights with many equal magnitudes, among them zeros."""
    return np.random.default_rng(seed).integers(-3, 4, shape) * np.float32(-0.5)


def mask_of(student, w, sparsity):
    """What magnitude_mask returns, which leaves w as it is."""
    mask = expect.array(student.magnitude_mask(w, sparsity), "magnitude_mask", dtype=bool, shape=w.shape)
    assert not student.magnitude_mask.changed, "magnitude_mask writes into the weights that it is given"
    return mask


@graded(points=2)
@given(shapes, seeds, sparsities)
def prunes_exactly(student, shape, seed, sparsity):
    """round(sparsity · n) weights are pruned, however many are equal."""
    w = repeating(shape, seed)
    pruned, wanted = np.count_nonzero(~mask_of(student, w, sparsity)), round(sparsity * w.size)
    assert pruned == wanted, (f"of {w.size} weights {w.tolist()} at sparsity {sparsity:.3g}: {pruned} are "
                              f"pruned, not {wanted}")


@graded(points=1)
@given(shapes, seeds, sparsities)
def keeps_the_largest(student, shape, seed, sparsity):
    """No weight that stays is smaller in magnitude than one that goes."""
    w = np.random.default_rng(seed).permutation(np.arange(1, np.prod(shape) + 1)).reshape(shape) / 4
    w[np.random.default_rng(seed + 1).random(shape) < 0.5] *= -1
    mask, wanted = mask_of(student, w, sparsity), np.abs(w) > round(sparsity * w.size) / 4
    assert np.array_equal(mask, wanted), (f"sparsity {sparsity:.3g} of {w.tolist()} keeps "
                                          f"{w[mask].tolist()}, not {w[wanted].tolist()}")


@graded(points=1)
@given(st.integers(0, 50), st.integers(1, 100), st.integers(0, 50), st.floats(0, 0.5), st.floats(0.5, 1))
def schedule_begins_and_ends(student, begin, length, beyond, initial, final):
    """s(t₀) = sᵢ and s(t₁) = s_f, before and after it stays there."""
    for t, wanted in ((begin, initial), (begin - beyond, initial), (begin + length, final),
                      (begin + length + beyond, final)):
        s = expect.real(student.cubic_sparsity(t, begin, begin + length, initial, final), "cubic_sparsity")
        assert abs(s - wanted) <= 1e-12, (f"from step {begin} to {begin + length} the sparsity goes from "
                                          f"{initial} to {final}; at step {t} it is {s}, not {wanted}")


def adam(w, g, m, v, t, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """One weight's step of Adam, in plain numbers: what masked_adam_step is held against."""
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return w - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)) ** 0.5 + eps), m, v


def stepped(student, w, g, m, v, t, mask, *settings):
    """What masked_adam_step returns: three arrays."""
    three = expect.items(student.masked_adam_step(w, g, m, v, t, mask, *settings), "masked_adam_step", 3)
    assert not student.masked_adam_step.changed, "masked_adam_step writes into the arrays that it is given"
    return [expect.array(x, f"new {name}", shape=w.shape) for name, x in zip("wmv", three, strict=True)]


def check_step(found, wanted, what):
    """Raise unless w, m and v are what Adam makes of them."""
    for name, x, y in zip("wmv", found, wanted, strict=True):
        off = np.abs(x - y) > 1e-9 * (1 + np.abs(y))
        assert not off.any(), f"{what}: {name} is {x[off][0]:.9g}, not {y[off][0]:.9g}"


@graded(points=2)
@given(seeds, st.integers(1, 4), st.sampled_from([(0.1,), (0.01, 0.5, 0.9, 0.1)]))
def is_adam_where_nothing_is_pruned(student, seed, steps, settings):
    """With a mask that keeps all weights it is Adam, with the settings that were given."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(2, 3))
    state = wanted = w, np.zeros_like(w), np.zeros_like(w)
    for t in range(1, steps + 1):
        g = rng.normal(size=w.shape)
        state = stepped(student, state[0], g, *state[1:], t, np.ones(w.shape, bool), *settings)
        wanted = adam(wanted[0], g, *wanted[1:], t, *settings)
        check_step(state, wanted, f"step {t}")


def least_squares(seed, n=12):
    """A quadratic loss ½ (w − w*)ᵀ H (w − w*) of n weights that depend on each other, and its minimum w*."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2 * n, n)) + 0.7 * rng.normal(size=(2 * n, 1))
    return x.T @ x / (2 * n), rng.normal(size=n)


class Problem:
    """What a curve needs: weights, their loss, and retraining to the exact minimum, each call looked at."""

    def __init__(self, seed, n=12):
        self.h, self.best = least_squares(seed, n)
        self.masks = []

    def loss(self, w):
        w = expect.array(w, "what is given to loss", shape=self.best.shape)
        return float((w - self.best) @ self.h @ (w - self.best) / 2)

    def train(self, w, mask):
        w = expect.array(w, "the weights given to train", shape=self.best.shape)
        mask = expect.array(mask, "the mask given to train", shape=self.best.shape) != 0
        assert not w[~mask].any(), "train is given weights that the mask prunes and that are not 0"
        self.masks.append(mask)
        w = np.zeros(len(w))
        w[mask] = np.linalg.solve(self.h[np.ix_(mask, mask)], (self.h @ self.best)[mask])
        return w

    def kept(self, w, sparsity):
        """The mask, by another way than yours: a weight goes if so many others come before it."""
        order = sorted(range(len(w)), key=lambda i: (abs(w[i]), i))
        return np.isin(np.arange(len(w)), order[round(sparsity * len(w)):])

    def right(self, name, sparsities):
        """The losses of one curve, and the masks that train is to be given."""
        w, losses, masks = self.best, [], []
        for sparsity in sparsities:
            masks.append(self.kept(w, sparsity))
            after = w * masks[-1] if name == "prune_only" else self.train(w * masks[-1], masks[-1])
            losses.append(self.loss(after))
            w = after if name == "prune_iteratively" else w
        return losses, masks


rising = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.6, 0.75, 0.9]), min_size=1, max_size=5, unique=True)


def check_curve(student, name, problem, sparsities):
    """Raise unless the losses that a student's function returns, and the masks it trains with, are right."""
    wanted, right = problem.right(name, sparsities)
    problem.masks.clear()
    callbacks = [problem.loss] if name == "prune_only" else [problem.train, problem.loss]
    losses = getattr(student, name)(problem.best, list(sparsities), *callbacks)
    expect.items(losses, name, len(sparsities))
    if name != "prune_only":
        masks = problem.masks
        assert len(masks) == len(right), f"train was called {len(masks)} times for {len(right)} sparsities"
        for mask, wants, s in zip(masks, right, sparsities, strict=True):
            assert np.array_equal(mask, wants), (f"at sparsity {s} of {sparsities} train is given the mask "
                                                 f"{mask.astype(int)}, not {wants.astype(int)}")
    for loss, wants, s in zip(losses, wanted, sparsities, strict=True):
        loss = expect.real(loss, f"a loss of {name}")
        assert abs(loss - wants) <= 1e-9 * (1 + wants), (f"at sparsity {s} of {sparsities} the loss is "
                                                         f"{loss:.6g}, not {wants:.6g}")
    return losses


@graded(points=1)
@given(seeds, rising)
def first_curve(student, seed, sparsities):
    """Prune only: the trained weights, pruned to each sparsity anew."""
    check_curve(student, "prune_only", Problem(seed), sorted(sparsities))


@graded(points=2)
@given(seeds, rising)
def second_curve(student, seed, sparsities):
    """Prune and retrain: each sparsity begins with the trained weights and trains those that it keeps."""
    check_curve(student, "prune_and_retrain", Problem(seed), sorted(sparsities))


### BEGIN HIDDEN TESTS
@graded(points=2)
@given(shapes, seeds, sparsities)
def first_of_equals_go(student, shape, seed, sparsity):
    """Of equal magnitudes the first in the order of the array are pruned."""
    w = repeating(shape, seed)
    order = sorted(range(w.size), key=lambda i: (abs(w.flat[i]), i))[:round(sparsity * w.size)]
    pruned = np.flatnonzero(~mask_of(student, w, sparsity)).tolist()
    assert pruned == sorted(order), (f"sparsity {sparsity:.3g} of {w.tolist()} prunes numbers {pruned} of "
                                     f"the array, not {sorted(order)}")


@graded(points=1)
@given(st.integers(0, 9), st.integers(2, 40), st.floats(0, 0.4), st.floats(0.5, 1))
def schedule_rises(student, begin, length, initial, final):
    """Every step prunes more than the one before it, and none less than sᵢ or more than s_f."""
    before = -1.0
    for t in range(begin, begin + length + 1):
        s = expect.real(student.cubic_sparsity(t, begin, begin + length, initial, final), "cubic_sparsity")
        assert s > before, (f"from {initial} at step {begin} to {final} at step {begin + length}: it is "
                            f"{before} at step {t - 1} and {s} at step {t}")
        assert initial - 1e-12 <= s <= final + 1e-12, (f"at step {t} it is {s}, on the way from {initial} to "
                                                       f"{final}")
        before = s


@graded(points=1)
@given(st.integers(0, 9), st.integers(4, 40), st.floats(0, 0.4), st.floats(0.5, 1), st.floats(0.2, 0.8))
def schedule_slows_down(student, begin, length, initial, final, where):
    """Its slope is 3 (s_f − sᵢ) / (t₁ − t₀) · (1 − u)² at the part u of the way: by central differences."""
    at, h, left = begin + where * length, 0.125 * length, 1 - where
    settings = begin, begin + length, initial, final
    before, after = (student.cubic_sparsity(t, *settings) for t in (at - h, at + h))
    slope = (expect.real(after, "cubic_sparsity") - expect.real(before, "cubic_sparsity")) / (2 * h)
    wanted = (final - initial) / length * (3 * left**2 + (h / length) ** 2)  # what h adds to a cubic's slope
    assert abs(slope - wanted) <= 1e-9, (f"from {initial:.3g} at step {begin} to {final:.3g} at step "
                                         f"{begin + length}: around step {at:.3g} it rises by {slope:.6g} a "
                                         f"step, not {wanted:.6g}")


@graded(points=2)
@given(seeds, st.integers(1, 3), st.integers(1, 3))
def zeros_survive_adam(student, seed, before, after):
    """What m and v remember from before the mask, and what the gradient says, moves no pruned weight."""
    rng = np.random.default_rng(seed)
    shape = 3, 4
    mask = rng.random(shape) < 0.5
    mask[0, :2] = True, False
    w, m, v = rng.normal(size=shape), np.zeros(shape), np.zeros(shape)
    for t in range(1, before + 1):
        w, m, v = adam(w, rng.normal(size=shape), m, v, t, 0.1)
    state = wanted = w * mask, m, v
    for t in range(before + 1, before + after + 1):
        g = rng.normal(size=shape)
        state = stepped(student, state[0], g, *state[1:], t, mask, 0.1)
        for name, x in zip("wmv", state, strict=True):
            pruned = x[~mask]
            assert not pruned.any(), (f"in step {t - before} after pruning, {name} of a pruned weight is set "
                                      f"to {pruned[pruned != 0][0]:.6g}, not 0")
        wanted = [x * mask for x in adam(wanted[0], g, *wanted[1:], t, 0.1)]
        check_step(state, wanted, f"step {t - before} after pruning, a weight that stays")


@graded(points=2)
@given(seeds, st.integers(0, 4), st.integers(2, 8), st.integers(0, 3), st.sampled_from([0.5, 0.75, 0.9]))
def prunes_by_the_schedule(student, seed, begin, length, beyond, sparsity):
    """Each gradient is that of weights with as many zeros as s(t) says; and the last weights are right."""
    (h, best), steps = least_squares(seed), begin + length + beyond
    zeros, start = [], np.random.default_rng(seed).normal(size=len(best))

    def gradient(w):
        w = expect.array(w, "what is given to gradient", shape=best.shape)
        zeros.append(int(np.sum(w == 0)))
        return h @ (w - best)

    w = student.prune_gradually(start, gradient, steps, begin, begin + length, sparsity, 0.1)
    w = expect.array(w, "prune_gradually", shape=best.shape)
    assert len(zeros) == steps, f"gradient was called {len(zeros)} times in {steps} steps"
    zeros.append(int(np.sum(w == 0)))
    s = [sparsity * (1 - (1 - min(max((t - begin) / length, 0), 1)) ** 3) for t in range(steps + 1)]
    counts = [round(each * len(best)) for each in s]
    assert zeros == counts, f"pruned after steps 0, 1, …: {zeros} of {len(best)}, not {counts}"
    right, m, v, kept = start, np.zeros_like(start), np.zeros_like(start), np.ones(len(start), bool)
    for t in range(1, steps + 1):
        right, m, v = (x * kept for x in adam(right, h @ (right - best) * kept, m, v, t, 0.1))
        kept = Problem(seed).kept(right, s[t])
        right = right * kept
    off = np.abs(w - right) > 1e-7 * (1 + np.abs(right))
    assert not off.any(), f"after {steps} steps a weight is {w[off][0]:.6g}, not {right[off][0]:.6g}"


@graded(points=2)
@given(seeds, rising)
def third_curve(student, seed, sparsities):
    """Iterative: each sparsity prunes, to its part of all, what was retrained at the one before."""
    check_curve(student, "prune_iteratively", Problem(seed), sorted(sparsities))


@graded(points=1)
def curves_lie_in_order(student):
    """Retraining gains much, taking turns gains again (Han et al. 2015, figure 5)."""
    s = [0.3, 0.5, 0.6, 0.7, 0.8, 0.9]
    names = "prune_only", "prune_and_retrain", "prune_iteratively"
    curves = [check_curve(student, name, Problem(139, 30), s) for name in names]
    for sparsity, a, b, c in zip(s, *curves, strict=True):
        assert a > b >= c, f"at sparsity {sparsity}: pruned {a:.4g}, retrained {b:.4g}, iterative {c:.4g}"
### END HIDDEN TESTS


if __name__ == "__main__":
    main(__file__)
