"""What TensorTrain promises beside the laws of every transform: its error, its ranks, and what is trained."""

from math import prod

import numpy as np

from nn.optim import SGD
from nn.testing.case import Case

from ..techniques.tensor_train import TensorTrain
from .laws import step
from .subject import Subject, largest, own_laws, same, seen


def keeps_its_eps(subject: Subject, case: Case) -> None:
    """‖w − project(w)‖ ≤ eps·‖w‖ (Oseledets 2011, after theorem 2.2), and the roundings of float32."""
    (w,) = case.args
    (stage,) = subject.stages
    if stage.eps is None:
        return
    w = w.astype(np.float64)
    error, norm = np.linalg.norm(w - seen(subject.attached(*case.args))), np.linalg.norm(w)
    rounding = 2.0**-16 * norm + w.size * 2.0**-126
    if not error <= stage.eps * norm + rounding:
        raise AssertionError(f"the error is {error / norm:.6g} of the norm, wanted {stage.eps}")


def stores_what_its_ranks_say(subject: Subject, case: Case) -> None:
    """Σ rₖ₋₁·iₖ·oₖ·rₖ numbers, the modes multiply to the shape, no rank beyond what was asked or can be."""
    (w,) = case.args
    (stage,) = subject.stages
    parameter = subject.attached(w)
    arrays = parameter.parametrization.encode(parameter.data).arrays()
    shapes = arrays["shapes"].astype(int).tolist()
    ranks = [1, *(shape[3] for shape in shapes)]
    if ranks[:-1] != [shape[0] for shape in shapes] or ranks[-1] != 1:
        raise AssertionError(f"the cores {shapes} do not fit each other")
    if (prod(o for _, _, o, _ in shapes), prod(i for _, i, _, _ in shapes)) != w.shape:
        raise AssertionError(f"the modes of {shapes} do not multiply to {w.shape}")
    if arrays["cores"].size != sum(map(prod, shapes)):
        raise AssertionError(f"{arrays['cores'].size} numbers are stored, the cores are {shapes}")
    sizes = [i * o for _, i, o, _ in shapes]
    for k, rank in enumerate(ranks[1:-1], start=1):
        largest = min(prod(sizes[:k]), prod(sizes[k:]), w.size if stage.rank is None else stage.rank)
        if rank > largest or (stage.rank is not None and rank != largest):
            raise AssertionError(f"rank {rank} between cores {k} and {k + 1}, wanted {largest}")


def trains_its_cores(subject: Subject, case: Case) -> None:
    """What is trained are the cores: they have the gradients, and the weight is what they say afterwards."""
    parameter = subject.attached(*case.args)
    trained = parameter.trainables()
    if any(tensor is parameter for tensor in trained):
        raise AssertionError("the weight itself is trained")
    if np.any(step(parameter, SGD(trained, lr=0.1 * largest(trained)), case.rng())):
        raise AssertionError("the weight has a gradient")
    if np.any(case.args[0]) and not all(np.any(tensor.grad) for tensor in trained):
        raise AssertionError("a core has no gradient")
    same(parameter.data, seen(parameter), "the weight after a step, against its cores")


own_laws(TensorTrain, keeps_its_eps, stores_what_its_ranks_say, trains_its_cores)
