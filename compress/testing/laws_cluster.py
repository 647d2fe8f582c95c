"""What Cluster promises beside the laws of every transform: few values, the best ones, exact zeros, small
bytes."""

import numpy as np

from nn.kernels import codebook_gemm, kmeans1d
from nn.kernels.nbit_gemm import quantized
from nn.optim import SGD
from nn.parameter import Parameter
from nn.tensor import Tensor
from nn.testing.case import Case
from nn.testing.domain_kmeans import cost, slack

from ..stored import as_matrix
from ..techniques.cluster import Cluster, error_of_integers
from ..transform import Invariant
from .laws import pruned, step
from .subject import Subject, own_laws, same, seen, stored
from .weights import inputs


def last(subject: Subject) -> Cluster:
    """The stage that shares."""
    return subject.stages[-1]


def shares_few_values(subject: Subject, case: Case) -> None:
    """At most 2^bits values; what was pruned is 0 and nothing else is, before training and after it."""
    parameter = subject.finished(*case.args)
    optimizer = SGD(parameter.trainables(), lr=0.01 * float(np.abs(parameter.data).max()), momentum=0.9)
    zeros = stay_zero(subject, parameter)
    for trained in (False, True):
        if trained:
            for _ in range(3):
                step(parameter, optimizer, case.rng())
        w = seen(parameter)
        if len(np.unique(w)) > last(subject).distinct:
            raise AssertionError(f"{len(np.unique(w))} values, wanted at most {last(subject).distinct}")
        if np.any(w[zeros]):
            raise AssertionError("a pruned weight became another")
    state = parameter.parametrization.states[-1]
    if np.any(state.codes[~zeros] == state.zero):
        raise AssertionError("a weight that is not pruned has the value that stays 0")


def stay_zero(subject: Subject, parameter: Parameter) -> np.ndarray:
    """Which weights are 0 for good: those that the stages before leave 0, if one of them prunes."""
    before = parameter.parametrization.before_last(parameter).data
    prunes = any(Invariant.SUPPORT in stage.makes for stage in subject.stages[:-1])
    return (before == 0) & prunes


def finds_the_best_values(subject: Subject, case: Case) -> None:
    """No values share less badly: the error is that of `kmeans1d` over the weights that are not pruned.
    Lloyd's iteration, from a start that was asked for, does not promise that. Where values are rounded to
    integers each weight may be half a step farther from its own."""
    if last(subject).start != "optimal":
        return
    parameter = subject.attached(*case.args)
    before = parameter.parametrization.before_last(parameter).data
    if not parameter.parametrization.states[-1].shares:
        return
    values = before[~stay_zero(subject, parameter)]
    levels = last(subject).distinct - (values.size < before.size)
    if not values.size:
        return
    best = cost(values, kmeans1d.reference(values, levels))
    found = float(np.sum((before - seen(parameter).astype(np.float64)) ** 2))
    if last(subject).activations is not None:
        moved = error_of_integers(parameter.parametrization.states[-1].centroids.data)
        best = (np.sqrt(best) + moved * np.sqrt(values.size)) ** 2
    if not found <= best + slack(values, levels):
        raise AssertionError(f"the error is {found!r}, the best {levels} values have {best!r}")


def sums_gradients(subject: Subject, case: Case) -> None:
    """A value's gradient is the sum of its members', or their mean; one that stays 0 has none."""
    parameter = subject.finished(*case.args)
    state = parameter.parametrization.states[-1]
    direction = case.rng().standard_normal(parameter.shape).astype(np.float32)
    (parameter.parametrized() * Tensor(direction)).sum().backward()
    wanted = np.zeros(last(subject).distinct)
    for j in range(len(wanted)):
        own = direction[state.codes == j].astype(np.float64)
        if j != state.zero and own.size:
            wanted[j] = own.mean() if last(subject).gradient == "mean" else own.sum()
    got = state.centroids.grad
    if not np.all(np.abs(got - wanted) <= 1e-5 * (1 + np.abs(wanted))):
        raise AssertionError(f"gradients {got}, wanted {wanted}")
    if parameter.grad is not None and np.any(parameter.grad):
        raise AssertionError("the weight itself has a gradient")


def stores_bits_a_weight(subject: Subject, case: Case) -> None:
    """No more than `bits` bits for each weight (rounded up to a byte) and 2^bits numbers."""
    parameter = subject.finished(*case.args)
    sizes = parameter.parametrization.encode(parameter.data).sizes()
    most = -(-parameter.size * last(subject).bits // 8) + 4 * last(subject).distinct
    if sizes["payload"] + sizes["indices"] + sizes["tables"] > most:
        raise AssertionError(f"{sizes} for {parameter.size} weights, wanted at most {most} bytes")
    if any(Invariant.SUPPORT in stage.makes for stage in subject.stages):
        alive = int(np.count_nonzero(~pruned(parameter)))
        if sizes["indices"] and sizes["payload"] > -(-alive * last(subject).bits // 8):
            raise AssertionError(f"{sizes['payload']} bytes of codes for {alive} weights")


def multiplies_integers(subject: Subject, case: Case) -> None:
    """With activations of int8 a weight is one scale times int8, those that `multipliers` gives.
    What `codebook_gemm` makes of the stored values is their exact sum with the integers of a row, times both
    scales: three float32 roundings."""
    if last(subject).activations is None:
        return
    packed = stored(subject, case)
    integers, (step,) = packed.multipliers(), packed.held["scale"]
    same(integers.astype(np.float32) * step, as_matrix(packed.decode()), "scale · multipliers()")
    for x in inputs(case.rng(), integers.shape[1]):
        q, s = quantized(x, x.shape[1])
        exact = q.astype(np.float64) @ integers.T.astype(np.float64) * (s.astype(np.float64) * step)
        y = codebook_gemm(x, packed.operand(codebook_gemm), activations="int8") * packed.scale
        if not np.all(np.abs(y - exact) <= 2.0**-22 * np.abs(exact) + 2.0**-125):
            raise AssertionError(f"the product of integers is {y}, wanted {exact}")


own_laws(Cluster, shares_few_values, finds_the_best_values, sums_gradients, stores_bits_a_weight,
         multiplies_integers, in_chains=True)
