"""The laws of a transform while it trains: functions law(subject, case) that raise AssertionError when
broken.

`case` holds one weight. Every law kills a mutant in tests/compress/test_laws_kill_mutants.py, since a law
that can't fail proves nothing."""

import copy

import numpy as np

from nn.module import Module
from nn.optim import SGD, Adam, Optimizer
from nn.parameter import Parameter
from nn.tensor import Tensor
from nn.testing.case import Case

from ..stored import as_matrix, per_channel
from ..transform import Invariant
from .subject import Law, Subject, largest, same, seen, through


def stored_equals_seen(subject: Subject, case: Case) -> None:
    """decode(encode(w)) is project(w), bit for bit: what was trained is what is saved."""
    parameter = subject.finished(*case.args)
    decoded = parameter.parametrization.encode(parameter.data).decode()
    same(decoded, seen(parameter), "decode(encode(w)) against project(w)")


def projects_once(subject: Subject, case: Case) -> None:
    """project(project(w)) is project(w) at a fixed state."""
    parameter = subject.finished(*case.args)
    once = seen(parameter)
    same(through(parameter.parametrization, once), once, "projected twice")


def stays_within_bound(subject: Subject, case: Case) -> None:
    """norm(w − project(w)) ≤ bound, for the weight that the state was fitted to."""
    parameter = subject.attached(*case.args)
    bound = parameter.parametrization.bound(parameter.data)
    if bound is None:
        return
    error = distance(parameter.data, parameter)
    if not error <= bound < np.inf:
        raise AssertionError(f"‖w − project(w)‖ is {error}, the bound {bound}")


def distance(w: np.ndarray, parameter: Parameter) -> float:
    """norm(w − what is seen of the parameter), as its chain measures it."""
    return parameter.parametrization.norm(w - seen(parameter).astype(np.float64))


def keeps_its_word(subject: Subject, case: Case) -> None:
    """Each stage leaves alone what its `keeps` promises to later and earlier stages."""
    (w,) = case.args
    for stage in subject.stages:
        before, after = w, seen(Subject("", (stage,)).finished(w, pruned=True))
        promised = stage.keeps
        if promised & {Invariant.SUPPORT, Invariant.NM} and np.any(after[before == 0]):
            raise AssertionError(f"{stage!r} keeps zeros, it says, but made one into {after[before == 0]}")
        for invariant, there in ((Invariant.LEVELS, before), (Invariant.GRID, np.append(before, 0))):
            if invariant in promised and not np.isin(after, there).all():  # every grid has a 0
                raise AssertionError(f"{stage!r} keeps {invariant.name}, it says, but made new values")
        if Invariant.RANK in promised:
            ranks = [np.linalg.matrix_rank(as_matrix(a).astype(np.float64)) for a in (before, after)]
            if ranks[1] > ranks[0]:
                raise AssertionError(f"{stage!r} keeps the rank, it says, but {ranks[0]} became {ranks[1]}")


def survives_training(subject: Subject, case: Case) -> None:
    """After every optimizer step, with momentum, averages and weight decay: what was pruned had no gradient
    and is zero still (also where it regrows), and at the end the stored weight is the seen one."""
    (w,) = case.args
    for build in (lambda p, rate, decay: SGD(p, lr=rate, momentum=0.9, weight_decay=decay),
                  lambda p, rate, decay: Adam(p, lr=rate, weight_decay=decay)):
        parameter = subject.attached(w)
        trained = parameter.trainables()
        rate, decay = 0.03 * largest(trained), 0.01 / largest(trained)  # both matter for weights of any size
        optimizer: Optimizer = build(trained, rate, decay)
        rng, zeros, who = case.rng(), pruned(parameter), type(optimizer).__name__
        for _ in range(subject.end() + 3):
            if np.any(step(parameter, optimizer, rng)[zeros]):
                raise AssertionError("a pruned weight has a gradient")
            regrows = any(stage.regrows for stage in subject.stages)
            if np.any(parameter.data[zeros]) or not (regrows or np.all(pruned(parameter)[zeros])):
                raise AssertionError(f"{who} brought a pruned weight back")
            zeros = pruned(parameter)
        packed = parameter.parametrization.encode(parameter.data)
        same(packed.decode(), seen(parameter), f"decode(encode(w)) against project(w) after {who}")


def survives_a_restart(subject: Subject, case: Case) -> None:
    """A model that takes the `state_dict` of another one, prepared alike, is where that one was."""
    (w,) = case.args
    first, rng = subject.attached(w), case.rng()
    trained = first.trainables()
    optimizer = SGD(trained, lr=largest(trained) / 9)
    for _ in range(subject.end() + 2):
        step(first, optimizer, rng)
    second = subject.attached(w)
    holder(second).load_state_dict(holder(first).state_dict())
    same(seen(second), seen(first), "the weight seen after load_state_dict")
    for parameter in (first, second):
        for tensor in parameter.active():
            tensor.data *= np.float32(0.5)
        parameter.parametrization.update(parameter, subject.end() + 3)
    same(seen(second), seen(first), "the weight seen after load_state_dict and an update")


def holder(parameter: Parameter) -> Module:
    """A Module of one weight."""
    module = Module()
    module.weight = parameter
    return module


def pruned(parameter: Parameter) -> np.ndarray:
    """Where the stages that make SUPPORT set whatever comes to zero."""
    where = np.zeros(parameter.shape, bool)
    for stage, state in zip(parameter.parametrization.stages, parameter.parametrization.states, strict=True):
        if Invariant.SUPPORT in stage.makes:
            where |= stage.project(Tensor(np.full(parameter.shape, 2.0**100, np.float32)), state).data == 0
    return where


def step(parameter: Parameter, optimizer: Optimizer, rng: np.random.Generator) -> np.ndarray:
    """One optimizer step along a random direction; returns the weight's gradient."""
    optimizer.zero_grad()
    direction = Tensor(rng.standard_normal(parameter.shape).astype(np.float32))
    (parameter.parametrized() * direction).sum().backward()
    gradient = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.copy()
    for trained in optimizer.params:  # to size 1: a core's gradient depends on the size of the other cores
        if trained.grad is not None:
            trained.grad /= float(np.abs(trained.grad).max()) or 1.0
    optimizer.step()
    return gradient


def rescales(subject: Subject, case: Case) -> None:
    """`rescaled(state, f)` fits f·w, channel by channel, whatever the sign and size of f: its error is that
    of w, times |f|, or that of a State which is fitted to f·w anew."""
    parameter = subject.finished(*case.args)
    w = parameter.data
    difference = w - seen(parameter).astype(np.float64)
    factor = case.rng().choice([0.0, -1.0, 1.0, 0.01, -100.0, 3.7, 1e-6], len(w))
    column = per_channel(factor, w.ndim)
    folded = (w * column).astype(np.float32)
    after = through(parameter.parametrization.rescaled(factor), folded)
    error, allowed, size = (np.linalg.norm(as_matrix(array), axis=1) for array in (
        folded - after.astype(np.float64), column * difference, folded.astype(np.float64)))
    rounding = 2.0**-14 * size + 2.0**-20 * allowed + w.size * 2.0**-126  # of w, and of what is seen of it
    worst = int(np.argmax(error - allowed - rounding))
    if not error[worst] <= allowed[worst] + rounding[worst]:
        if subject.takes(folded):
            fresh = seen(subject.finished(folded)).astype(np.float64)
            anew = np.linalg.norm(as_matrix(folded - fresh), axis=1)
            if np.all(error <= np.maximum(allowed, anew) + rounding):
                return
        raise AssertionError(
            f"channel {worst} times {factor[worst]} has error {error[worst]}, wanted {allowed[worst]}")


def copies_are_independent(subject: Subject, case: Case) -> None:
    """Training a deep copy changes nothing in the original."""
    parameter = subject.finished(*case.args)
    before = seen(parameter).copy()
    twin = copy.deepcopy(parameter)
    if twin.parametrization is parameter.parametrization:
        raise AssertionError("the copy has the original's parametrization")
    trained = twin.trainables()
    optimizer = SGD(trained, lr=0.1 * largest(trained))
    for _ in range(3):
        step(twin, optimizer, case.rng())
    same(seen(parameter), before, "the original after its copy was trained")


def leaves_weight(subject: Subject, case: Case) -> None:
    """Fitting, projecting, encoding, bounding and rescaling write into nobody's weight."""
    (w,) = case.args
    mine = w.copy()
    chain = subject.finished(w).parametrization
    chain.fit(mine, subject.context(mine))
    same(mine, w, "the weight after fit")
    for what, use in (("project", lambda: chain.project(Tensor(mine))), ("bound", lambda: chain.bound(mine)),
                      ("rescaled", lambda: chain.rescaled(np.full(len(mine), 2.0)).project(Tensor(mine)))):
        use()
        same(mine, w, f"the weight after {what}")
    parameter = subject.finished(w)
    before = parameter.data.copy()
    decoded = parameter.parametrization.encode(parameter.data).decode()
    if decoded.flags.writeable:
        decoded[...] = 1
    same(parameter.data, before, "the weight after encode, decode and a write into what that gave")


LAWS: tuple[Law, ...] = (stored_equals_seen, projects_once, stays_within_bound, keeps_its_word,
                         survives_training, survives_a_restart, rescales, copies_are_independent,
                         leaves_weight)
