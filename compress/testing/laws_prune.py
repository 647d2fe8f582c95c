"""What Prune promises beside the laws of every transform: exact counts of whole groups, the least salient."""

import numpy as np

from nn.testing.case import Case

from ..stored import as_matrix
from ..techniques.prune import Prune
from ..transform import Context
from .laws import pruned
from .subject import Subject, own_laws, seen


def prunes_exactly(subject: Subject, case: Case) -> None:
    """After every step round(sparsity · fraction · groups) groups are pruned, but never all: those with the
    least sum of scores, of equal ones the first, as a list of Python's numbers is sorted."""
    (w,) = case.args
    (stage,) = subject.stages
    parameter = subject.attached(w)
    labels, gone = stage.pattern.labels(w.shape), set()
    for step in range(subject.end() + 2):
        if step:
            parameter.parametrization.update(parameter, step)
        count = wanted(stage, w, stage.schedule.fraction(step))
        found = set(labels[pruned(parameter)].tolist())
        if len(found) != count or np.isin(labels, list(found)).sum() != pruned(parameter).sum():
            raise AssertionError(f"step {step}: {len(found)} of {labels.max() + 1} groups are pruned, "
                                 f"{pruned(parameter).sum()} weights; wanted {count} whole groups")
        if len(gone) < count:
            gone = least(stage, w * ~np.isin(labels, list(gone)), gone, count)
        if found != gone:
            raise AssertionError(f"step {step}: pruned {sorted(found)}, wanted {sorted(gone)}")
    if count != wanted(stage, w, 1):
        raise AssertionError(f"the schedule ends with {count} groups pruned, wanted {wanted(stage, w, 1)}")


def wanted(stage: Prune, w: np.ndarray, fraction: float) -> int:
    """How many groups are to be pruned."""
    groups = int(stage.pattern.labels(w.shape).max()) + 1
    if stage.threshold is not None:
        below = sum(one < stage.threshold for one in sums(stage, w))
        return min(round(below * fraction), groups - stage.pattern.last)
    if stage.pattern.sparsity is not None:  # so many of every M
        m = stage.pattern.m
        return groups // m * round(stage.sparsity * fraction * m)
    return min(round(stage.sparsity * fraction * groups), groups - stage.pattern.last)


def sums(stage: Prune, w: np.ndarray) -> list[float]:
    """What the score says of each group."""
    labels, total = stage.pattern.labels(w.shape), {}
    for label, one in zip(labels.flat, stage.score.saliency(w, Context()).flat, strict=True):
        total[int(label)] = total.get(int(label), 0.0) + float(one)
    return [total[i] for i in range(len(total))]


def least(stage: Prune, w: np.ndarray, gone: set[int], count: int) -> set[int]:
    """The `count` groups to be pruned, of which some are gone."""
    total = sums(stage, w)
    order = sorted(range(len(total)), key=lambda i: (i not in gone, total[i], i))
    if stage.pattern.sparsity is None:
        return set(order[:count])
    m = stage.pattern.m
    return {i for start in range(0, len(total), m)
            for i in [i for i in order if start <= i < start + m][:count * m // len(total)]}


def prunes_by_its_pattern(subject: Subject, case: Case) -> None:
    """What is zero is zero as the pattern's name says, counted in the array itself."""
    (stage,) = subject.stages
    parameter = subject.finished(*case.args)
    zeros, matrix = pruned(parameter), as_matrix(pruned(parameter))
    name = repr(stage.pattern).strip("'")
    alike = {"row": matrix, "column": matrix.T, "shape": matrix.T,
             "filter": zeros.reshape(len(zeros), -1),
             "channel": zeros.swapaxes(0, 1).reshape(zeros.shape[1], -1)}
    if name in alike and np.any(alike[name].any(axis=1) != alike[name].all(axis=1)):
        raise AssertionError(f"{name}: {zeros.astype(int)} has parts of them")
    if ":" in name:
        n, m = map(int, name.split(":"))
        if any(len(four) - np.count_nonzero(four) != n for row in matrix for four in row.reshape(-1, m)):
            raise AssertionError(f"{name}: {matrix.astype(int)} are not {n} of every {m}")
    elif "x" in name:
        high, wide = map(int, name.split("x"))
        for i in range(0, len(matrix), high):
            for j in range(0, matrix.shape[1], wide):
                block = matrix[i:i + high, j:j + wide]
                if block.any() != block.all():
                    raise AssertionError(f"{name}: {matrix.astype(int)} has parts of them")
    if np.any(seen(parameter)[zeros]):
        raise AssertionError("a pruned weight is seen")


own_laws(Prune, prunes_exactly, prunes_by_its_pattern)
