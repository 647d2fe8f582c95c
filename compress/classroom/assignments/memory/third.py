"""A third right solution: costs with the best m, looked for from where it was for a shorter chain; the plan
by a generator; `run` as a table of functions."""

from itertools import pairwise


def segments(n):
    """As in the task."""
    size = next(k for k in range(1, n + 1) if k * k >= n)
    steps, at = [], 0
    bounds = [*range(0, n, size), n]
    for start, end in reversed(list(pairwise(bounds))):
        if not steps:  # the way forward
            for other in bounds[:-2]:
                steps += [("keep", other), *(("forward", k) for k in range(other + 1, other + size + 1))]
            at = start
        else:
            steps.append(("load", start))
            at = start
        while at < end - 1:
            steps += [("keep", at), ("forward", at + 1)]
            at += 1
        for i in range(end, start, -1):
            if i < end:
                steps.append(("load", i - 1))
            steps.append(("backward", i))
            if i < end or (i - 1 == start and start < bounds[-2]):
                steps.append(("drop", i - 1))
    return steps


def costs(n, budget):
    """As in the task."""
    return [row for row, _ in _rows(n, budget)]


def _rows(n, budget):
    """For 1 … budget places: (T(k, s) for all k to n, the best m of each)."""
    rows = []
    for s in range(1, budget + 1):
        row, best = [0] * (n + 1), [0] * (n + 1)
        at = 1
        for k in range(2, n + 1):
            if s == 1:
                row[k], best[k] = row[k - 1] + k - 1, k - 1
                continue
            fewer = rows[-1][0]
            value = at + fewer[k - at] + row[at]
            for m in range(at + 1, k):
                more = m + fewer[k - m] + row[m]
                if more > value:
                    break
                at, value = m, more
            row[k], best[k] = value, at
        rows.append((row, best))
    return rows


def plan(n, budget):
    """As in the task."""
    rows = _rows(n, budget)

    def chain(start, size, places):
        if size == 1:
            yield "backward", start + 1
            return
        yield "keep", start
        while size > 1:
            m = rows[places - 1][1][size]
            for i in range(m):
                yield "forward", start + i + 1
            yield from chain(start + m, size - m, places - 1)
            yield "load", start
            size = m
        yield "drop", start
        yield "backward", start + 1

    return list(chain(0, n, budget))


def run(steps, x, g, forward, backward):
    """As in the task."""
    state = {"current": x, "number": 0, "g": g}
    places = {}

    def check(good):
        if not good:
            raise ValueError("this step needs what is not there")

    def keep(i):
        check(state["number"] == i)
        places[i] = state["current"]

    def load(i):
        check(i in places)
        state.update(current=places[i], number=i)

    def drop(i):
        check(i in places)
        del places[i]

    def ahead(i):
        check(state["number"] == i - 1)
        state.update(current=forward(i, state["current"]), number=i)

    def back(i):
        check(state["number"] == i - 1)
        state.update(g=backward(i, state["current"], state["g"]), current=None, number=-1)

    for word, i in steps:
        {"keep": keep, "load": load, "drop": drop, "forward": ahead, "backward": back}[word](i)
    return state["g"]
