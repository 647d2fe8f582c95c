"""Assignment 3: which activations to keep under a budget of memory.

`notebooks/05_checkpointing.py` prepares you for it. You write four functions, about 60 lines, then run this
file: `python memory.py` says what does not hold yet, and how many points you have.

A chain of n equal layers computes x₁ … xₙ from x₀. The way back through layer i needs its input xᵢ₋₁ and
the gradient of xᵢ, and gives that of xᵢ₋₁. Training keeps all inputs, in n places. With fewer, what was not
kept must be computed again. A plan is a list of steps, each a tuple of a word and a number:

    ("forward", i)   xᵢ₋₁, which is current, becomes xᵢ, which is current then
    ("keep", i)      xᵢ, which is current, is put into a place as well
    ("load", i)      xᵢ, which is in a place, becomes current; it stays in its place
    ("drop", i)      the place of xᵢ is free again
    ("backward", i)  by xᵢ₋₁, which is current, the gradient of xᵢ becomes that of xᵢ₋₁; nothing is current

At first x₀ is current and all places are free; in the end each layer has gone backward, once, from n to 1.
The budget is how many places may be in use at any time; the cost of a plan is its number of forward steps.
(What is current takes no place: it is what the layer that runs works on.)

1. Segments (Chen, Xu, Zhang & Guestrin 2016). Cut the chain into segments of ⌈√n⌉ layers; the last may be
shorter. On the way forward keep the input of each segment. Then, from the last segment to the first, load its
input, run through it again and keep all inputs inside, and go back through it. (The last segment need not run
twice: when the way forward gets there, keep what is inside at once.) That takes at most 2⌈√n⌉ places and less
than 2n forward steps.

2. The best plan (Griewank & Walther 2000). Let T(n, s) be the least cost for n layers with s places, one of
which holds x₀. With one place there is no choice: for each layer run from x₀ again. With more, run m layers
ahead and keep xₘ. The n − m layers behind it are a chain of their own with s − 1 places, and when that has
gone back, the place of xₘ is free again and the m layers before it have all s:

    T(1, s) = 0,    T(n, 1) = n(n − 1)/2,    T(n, s) = min over 0 < m < n of m + T(n − m, s − 1) + T(m, s).

3. A plan is worth something only if whoever runs it really forgets what it drops, and computes the same
numbers, to the last bit, as a chain that forgets nothing.
"""

from functools import lru_cache
from itertools import count
from math import comb

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main

# ---- What you write. n and the budget are at least 1, n at most 300. ----


def segments(n):
    """The plan of 1. for n layers: a list of steps."""
    ### BEGIN SOLUTION
    size = 1
    while size * size < n:
        size += 1
    starts = list(range(0, n, size))
    steps = []
    for i in range(starts[-1]):
        if i in starts:
            steps.append(("keep", i))
        steps.append(("forward", i + 1))
    for start in reversed(starts):
        end = min(start + size, n)
        if start != starts[-1]:
            steps.append(("load", start))
        else:
            steps.append(("keep", start))
        for i in range(start + 1, end):
            steps += [("forward", i), ("keep", i)]
        for i in range(end, start, -1):
            steps += [("load", i - 1), ("backward", i), ("drop", i - 1)]
    return steps
    ### END SOLUTION


def costs(n, budget):
    """T for all lengths to n and all numbers of places to the budget: a list of `budget` rows of n + 1
    integers, with T(k, s) in row s − 1 at k, and T(0, s) = 0."""
    ### BEGIN SOLUTION
    rows = [[k * (k - 1) // 2 for k in range(n + 1)]]
    while len(rows) < budget:
        fewer, row = rows[-1], [0, 0]
        for k in range(2, n + 1):
            row.append(min(m + fewer[k - m] + row[m] for m in range(1, k)))
        rows.append(row)
    return rows
    ### END SOLUTION


def plan(n, budget):
    """A plan for n layers with at most `budget` places and T(n, budget) forward steps: a list of steps."""
    ### BEGIN SOLUTION
    rows, steps = costs(n, budget), [("keep", 0)]

    def back(first, last, places):
        """The way back from x_last to x_first, which is current and kept; it is dropped in the end."""
        while last - first > 1:
            middle, k = last - 1, last - first
            if places > 1:
                fewer, row = rows[places - 2:places]
                middle = first + min(range(1, k), key=lambda m: m + fewer[k - m] + row[m])
            steps.extend(("forward", i) for i in range(first + 1, middle + 1))
            if places > 1:
                steps.append(("keep", middle))
                back(middle, last, places - 1)
            else:
                steps.append(("backward", last))
            steps.append(("load", first))
            last = middle
        steps.extend([("backward", first + 1), ("drop", first)])

    back(0, n, budget)
    return steps
    ### END SOLUTION


def run(steps, x, g, forward, backward):
    """The gradient of x₀ = x by a plan; g is that of xₙ.

    forward(i, x) gives xᵢ for x = xᵢ₋₁; backward(i, x, g) the gradient of xᵢ₋₁ for x = xᵢ₋₁ and g that of xᵢ.
    They are called for each such step of the plan, in its order, and for nothing else. Raises ValueError for
    a step that needs what is not there: to load or drop what is in no place, to keep what is not current, to
    go forward or backward from anything but xᵢ₋₁.
    """
    ### BEGIN SOLUTION
    places, at = {}, 0  # current is x_at; None: nothing is
    for action, i in steps:
        needed = {"keep": i, "forward": i - 1, "backward": i - 1}.get(action)
        if (needed is not None and at != needed) or (needed is None and i not in places):
            raise ValueError(f"{action} {i}: what it needs is not there")
        if action == "keep":
            places[i] = x
        elif action == "load":
            x, at = places[i], i
        elif action == "drop":
            del places[i]
        elif action == "forward":
            x, at = forward(i, x), i
        else:
            g = backward(i, x, g)
            x = at = None
    return g
    ### END SOLUTION


# ---- Given: what a plan does. ----


def watch(steps, n, what):
    """(forward steps, most places in use) of a plan for n layers; AssertionError says which step can't be."""
    current, places, most, forwards, left = 0, set(), 0, 0, n
    for number, step in enumerate(expect.items(steps, what)):
        action, i = expect.items(step, f"{what}, step {number}, a word and a number", 2)
        here = f"{what}, step {number}, ({action!r}, {i!r})"
        i = expect.whole(i, here)
        known = isinstance(action, str) and action in ("forward", "keep", "load", "drop", "backward")
        assert known, f"{here}: there is no such step"
        if action in ("load", "drop"):
            assert i in places, f"{here}: x{i} is in no place; in places are {named(places)}"
        else:
            needed = i if action == "keep" else i - 1
            now = "nothing" if current is None else f"x{current}"
            assert current == needed, f"{here}: x{needed} must be current, but {now} is"
        if action == "forward":
            assert i <= n, f"{here}: there are only {n} layers"
            current, forwards = i, forwards + 1
        elif action == "keep":
            places.add(i)
            most = max(most, len(places))
        elif action == "load":
            current = i
        elif action == "drop":
            places.remove(i)
        else:
            assert i == left, f"{here}: the next layer to go backward is {left}"
            current, left = None, left - 1
    assert left == 0, f"{what}: it ends before layer {left} has gone backward"
    return forwards, most


def named(places):
    """x0, x3, x7"""
    return ", ".join(f"x{i}" for i in sorted(places)) or "none"


# ---- What is graded ----

LENGTHS = st.integers(1, 40)


def watched(student, n, budget):
    """The forward steps of the hand-in's plan, found to be one that keeps the budget."""
    forwards, most = watch(student.plan(n, budget), n, f"plan({n}, {budget})")
    assert most <= budget, f"plan({n}, {budget}) uses {most} places at once; the budget is {budget}"
    return forwards


def least_by(student, n, budget):
    """The hand-in's T(n, budget), checked."""
    what = f"costs({n}, {budget})"
    rows = expect.items(student.costs(n, budget), what, budget)
    row = expect.items(rows[-1], f"the last row of {what}", n + 1)
    return expect.whole(row[n], f"the last entry of {what}")


@graded(points=2)
@given(n=LENGTHS)
def segments_take_twice_the_root(student, n):
    """At most 2⌈√n⌉ places, and each layer runs forward twice at most; the last segment once."""
    forwards, most = watch(student.segments(n), n, f"segments({n})")
    size = next(k for k in count(1) if k * k >= n)
    whole = (n - 1) // size  # segments before the last
    wanted = n - 1 + whole * (size - 1)
    assert most <= 2 * size, f"segments({n}) uses {most} places at once; 2·⌈√{n}⌉ is {2 * size}"
    assert forwards <= wanted, (
        f"segments({n}) has {forwards} forward steps, wanted {wanted} at most: {n - 1} on the way forward "
        f"and {size - 1} again in each of the {whole} segments before the last")


@graded(points=3)
@given(n=LENGTHS, budget=st.integers(1, 45))
def plans_keep_the_budget(student, n, budget):
    """Every step is possible, all layers go backward, and no more places are used than there are."""
    watched(student, n, budget)


@graded(points=2)
@given(n=LENGTHS, more=st.integers(0, 5))
def one_place_and_enough_places(student, n, more):
    """With one place n(n − 1)/2 forward steps, with n places or more each layer but the last runs once."""
    for budget, wanted in ((1, n * (n - 1) // 2), (n + more, n - 1)):
        forwards = watched(student, n, budget)
        assert forwards == wanted, f"plan({n}, {budget}) has {forwards} forward steps, wanted {wanted}"
        said = least_by(student, n, budget)
        assert said == wanted, f"T({n}, {budget}) of costs is {said}, wanted {wanted}"


@graded(points=2)
@given(n=LENGTHS)
def never_worse_than_segments(student, n):
    """With the places that segments take, the plan has no more forward steps than they."""
    size = next(k for k in count(1) if k * k >= n)
    whole = (n - 1) // size
    inside = max(n - whole * size, size - 1 if whole else 1)  # the last input of a segment needs no place
    places = max(1, whole + inside - 1)
    forwards, theirs = watched(student, n, places), n - 1 + whole * (size - 1)
    assert forwards <= theirs, (f"plan({n}, {places}) has {forwards} forward steps; segments of {size} "
                                f"layers, which take {places} places, have {theirs}")


class Chain:
    """Layers x ↦ tanh(a·x + b), which write down how they are called."""

    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.a, self.b = rng.uniform(0.5, 2, (2, n + 1, 3)).astype(np.float32)
        self.x, self.g = [rng.normal(size=3).astype(np.float32)], rng.normal(size=3).astype(np.float32)
        for i in range(1, n + 1):
            self.x.append(self.layer(i, self.x[-1]))
        self.gradient, self.calls = self.g, []
        for i in range(n, 0, -1):
            self.gradient = self.slope(i, self.x[i - 1], self.gradient)

    def layer(self, i, x):
        """xᵢ"""
        return np.tanh(self.a[i] * x + self.b[i])

    def slope(self, i, x, g):
        """The gradient of xᵢ₋₁."""
        return g * (1 - self.layer(i, x)**2) * self.a[i]

    def noted(self, action, function):
        """The function, which writes down that it is called."""
        def call(i, x, *g):
            i = expect.whole(i, f"the number of the layer with which {action} was called")
            assert 1 <= i < len(self.x), f"{action} was called for layer {i}; there are {len(self.x) - 1}"
            x, *g = (expect.array(v, f"{action} of layer {i} was called with", dtype=np.float32, shape=(3,))
                     for v in (x, *g))
            assert x.tobytes() == self.x[i - 1].tobytes(), f"{action} of layer {i} needs x{i - 1}, not {x}"
            self.calls.append((action, i))
            return function(i, x, *g)
        return call

    def run(self, student, steps):
        """What the hand-in's run gives."""
        return student.run(steps, self.x[0], self.g, self.noted("forward", self.layer),
                           self.noted("backward", self.slope))


def keeping(n, kept):
    """The plan that keeps these inputs on the way forward, x₀ among them, and runs from the nearest one."""
    steps, at = [], 0
    for i in range(n):
        steps += [("keep", i)] * (i in kept) + [("forward", i + 1)] * (i < n - 1)
    for i in range(n, 0, -1):
        at = max(k for k in kept if k < i)
        steps += [("load", at), *(("forward", k) for k in range(at + 1, i)), ("backward", i)]
        steps += [("drop", at)] * (at == i - 1)
    return steps


@graded(points=3)
@given(n=st.integers(1, 8), kept=st.sets(st.integers(1, 7)), seed=st.integers(0, 99))
def gradients_have_the_same_bits(student, n, kept, seed):
    """Whatever is kept: run follows the plan, and its gradient is that of a chain that forgets nothing."""
    chain, steps = Chain(n, seed), keeping(n, {0, *kept})
    made = expect.array(chain.run(student, steps), "run", dtype=np.float32, shape=(3,))
    wanted = [step for step in steps if step[0] in ("forward", "backward")]
    assert chain.calls == wanted, f"run called {chain.calls}; the plan says {wanted}"
    assert made.tobytes() == chain.gradient.tobytes(), (
        f"the gradient of x0 is {made.tolist()}, wanted {chain.gradient.tolist()}, to the last bit")


### BEGIN HIDDEN TESTS
IMPOSSIBLE = st.sampled_from([  # the last step of each
    [("forward", 2)], [("keep", 1)], [("load", 0)], [("drop", 0)], [("backward", 2)],
    [("keep", 0), ("forward", 1), ("forward", 1)],
    [("keep", 0), ("forward", 1), ("load", 0), ("keep", 1)],
    [("forward", 1), ("forward", 2), ("load", 1)],
    [("forward", 1), ("keep", 1), ("drop", 1), ("load", 1)],
    [("forward", 1), ("keep", 1), ("drop", 1), ("drop", 1)],
    [("forward", 1), ("backward", 2), ("keep", 1)],
    [("forward", 1), ("backward", 2), ("forward", 2)]])


@graded(points=2)
@given(steps=IMPOSSIBLE)
def run_has_only_what_is_kept(student, steps):
    """A step that needs what was dropped, or is not current, raises ValueError: nothing is kept in secret."""
    chain, kind = Chain(2, 0), "nothing"
    chain.run(student, keeping(2, {0}))
    try:
        chain.run(student, steps)
    except AssertionError as failure:
        kind = getattr(failure, "kind", str(failure))
    assert kind == "ValueError", f"after {steps[:-1]} {steps[-1]} must raise ValueError; got: {kind}"


@lru_cache
def least(n, budget):
    """The fewest forward steps of any plan, by trying all, the nearest first (Dijkstra 1959)."""
    seen, waiting = set(), [(0, 0, frozenset(), n)]  # forwards, current or None, places, layers left
    while True:
        state = waiting.pop(0)
        forwards, current, places, left = state
        if not left:
            return forwards
        if state[1:] in seen:
            continue
        seen.add(state[1:])
        now = [(forwards, i, places, left) for i in places if i < left]
        now += [(forwards, current, places - {i}, left) for i in places]
        if current is not None and len(places) < budget:
            now.append((forwards, current, places | {current}, left))
        if current == left - 1:
            now.append((forwards, None, places, left - 1))
        waiting = now + waiting  # no forward step: as near as this state
        if current is not None and current < left - 1:
            waiting.append((forwards + 1, current + 1, places, left))


@graded(points=3)
@given(n=st.integers(1, 6), budget=st.integers(1, 6))
def no_plan_is_better(student, n, budget):
    """For short chains: the fewest forward steps of all plans that there are."""
    wanted = least(n, budget)
    forwards, said = watched(student, n, budget), least_by(student, n, budget)
    assert said == wanted, f"T({n}, {budget}) of costs is {said}, wanted {wanted}: the best of all plans"
    assert forwards == wanted, f"plan({n}, {budget}) has {forwards} forward steps, the best has {wanted}"


@graded(points=3, examples=6)
@given(n=st.sampled_from([100, 231, 300]), budget=st.sampled_from([2, 5, 12]))
def long_chains_are_planned_as_well(student, n, budget):
    """T(n, s) = rn − C(s + r, s + 1) with the smallest r for which n ≤ C(s + r, s)."""
    r = next(r for r in count() if comb(budget + r, budget) >= n)
    wanted = r * n - comb(budget + r, budget + 1)
    forwards, said = watched(student, n, budget), least_by(student, n, budget)
    assert said == wanted, f"T({n}, {budget}) of costs is {said}, wanted {wanted}"
    assert forwards == wanted, f"plan({n}, {budget}) has {forwards} forward steps, wanted {wanted}"
### END HIDDEN TESTS


if __name__ == "__main__":
    main(__file__)
