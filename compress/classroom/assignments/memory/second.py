"""Another right solution: costs by Griewank and Walther's closed form; plans with a stack, not recursion."""

from math import ceil, comb, sqrt


def segments(n):
    """As in the task."""
    size = ceil(sqrt(n))
    first_of_last = (n - 1) // size * size
    steps = []
    for i in range(n):
        if i % size == 0 or i > first_of_last:
            steps.append(("keep", i))
        if i < n - 1:
            steps.append(("forward", i + 1))
    for i in range(n, 0, -1):
        start = (i - 1) // size * size
        if i <= first_of_last and i == start + size:
            steps.append(("load", start))
            for k in range(start + 1, i):
                steps.append(("forward", k))
                steps.append(("keep", k))
        steps += [("load", i - 1), ("drop", i - 1), ("backward", i)]
    return steps


def _cost(n, places):
    if n < 2:
        return 0
    runs = 0
    while comb(places + runs, places) < n:
        runs += 1
    return runs * n - comb(places + runs, places + 1)


def costs(n, budget):
    """As in the task."""
    return [[_cost(k, s) for k in range(n + 1)] for s in range(1, budget + 1)]


def plan(n, budget):
    """As in the task."""
    steps, stack = [], [(0, n, budget, True)]  # from x_first, current (or to be loaded), to x_last
    kept = set()
    while stack:
        first, last, free, current = stack.pop()
        if not current:
            steps.append(("load", first))
        if last - first == 1:
            if first in kept:
                kept.remove(first)
                steps.append(("drop", first))
            steps.append(("backward", last))
            continue
        if first not in kept:
            kept.add(first)
            steps.append(("keep", first))
        size = last - first
        ahead = size - 1 if free == 1 else min(
            range(1, size), key=lambda m: m + _cost(size - m, free - 1) + _cost(m, free))
        steps += [("forward", i) for i in range(first + 1, first + ahead + 1)]
        stack.append((first, first + ahead, free, False))
        stack.append((first + ahead, last, free - 1, True))
    return steps


def run(steps, x, g, forward, backward):
    """As in the task."""
    current, kept = (0, x), {}
    for word, i in steps:
        if word == "load" or word == "drop":
            if i not in kept:
                raise ValueError(f"x{i} is in no place")
            if word == "load":
                current = i, kept[i]
            else:
                kept.pop(i)
            continue
        if current is None or current[0] != (i if word == "keep" else i - 1):
            raise ValueError(f"{word} {i}: something else is current")
        if word == "keep":
            kept[i] = current[1]
        elif word == "forward":
            current = i, forward(i, current[1])
        elif word == "backward":
            g, current = backward(i, current[1], g), None
    return g
