"""digits_cnn pruned by a score to a sparsity: alone, retrained, and iteratively; and its dense control.

All layers are pruned to the same sparsity but the first, whose 288 weights, 0.5 % of all, see the image
itself. Each network is held against the float network of the same seed and of equal epochs."""

import copy
from dataclasses import dataclass

import compress
import nn

from .. import Once, Prune, Recipe
from ..schedule import Schedule
from .experiment import Budget, Data, Tick, Trainer, equal_bytes
from .low_bits import NETWORK, floats
from .pruned import PRUNED, iterative
from .techniques import THIRD

SCORES = ("magnitude", "taylor", "obd", "obs", "random")
CONTROL = "dense control"


@dataclass(frozen=True)
class Pruning:
    """How digits_cnn is pruned: by which of SCORES, to which sparsity. Or, as score, CONTROL: not pruned, but
    so narrow that its file has the bytes of the network that is."""

    score: str
    sparsity: float


@dataclass(frozen=True)
class Accuracies:
    """Of one seed on the test images: the float network; the same pruned after its training; pruned after the
    first phase of it and retrained in the second; and pruned in ROUNDS cuts during the second. `nbytes`: of
    the retrained network's file. The dense control has one accuracy, which stands in all three places."""

    float: float
    pruned: float
    retrained: float
    iterative: float
    nbytes: float


def measured(data: Data, budget: Budget, seed: int, pruning: Pruning, tick: Tick) -> Accuracies:
    """The accuracies of one score and sparsity. Runs in a worker, and is determined by its arguments."""
    trainer = Trainer(data.load(), budget, seed, tick)
    base, tuned = floats(trainer.data, budget, seed, tick)
    x, y = trainer.data.x_test, trainer.data.y_test

    def tested(model: nn.Module) -> tuple[float, int]:
        program = trainer.program(model)
        return nn.train.accuracy(program, x, y), compress.report(program).on_disk

    def pruned(model: nn.Module, schedule: Schedule | None = None) -> nn.Module:
        """A copy, pruned."""
        prune = Prune(pruning.sparsity, schedule or Once(), score=score)
        labels = trainer.data.y_train[:len(trainer.calibration)]
        return compress.prepare(copy.deepcopy(model), Recipe(dict.fromkeys(PRUNED, prune)),
                                trainer.calibration, targets=labels)

    score, accuracy = pruning.score, tested(tuned)[0]
    if score == CONTROL:
        score = "magnitude"
        dense = equal_bytes(trainer, NETWORK, tested(pruned(tuned))[1])
        own, nbytes = tested(trainer.tune(trainer.base(NETWORK, dense)))
        return Accuracies(accuracy, own, own, own, nbytes)
    retrained, nbytes = tested(trainer.tune(pruned(base), THIRD))
    cuts = pruned(base, iterative(pruning.sparsity, trainer.steps * budget.tune))
    return Accuracies(accuracy, tested(pruned(tuned))[0], retrained, tested(trainer.tune(cuts, THIRD))[0],
                      nbytes)
