"""The rows of the ledger: what is done to which network, and what validation may choose."""

from collections.abc import Callable
from dataclasses import dataclass

import nn

from .. import Cluster, Cubic, Prune, Quantize, Recipe, TensorTrain


@dataclass(frozen=True)
class Technique:
    """One row. `options` are what validation chooses among, the smallest file first; `recipe(option,
    steps)` is what is attached, `steps` being the optimizer steps of the training that follows; `trained`
    says whether one follows, and `rate` at how many times the usual learning rate (a network whose batch
    norms stand still wants smaller steps, fresh cores want larger ones); `simulated`, whether activations are
    quantized in it too; `starts`, which part of that training the float network goes through first
    (Krishnamoorthi 2018, §3.2: begin with a trained network). `control` asks for a row beside it: a small
    dense network of equal bytes and equal epochs. `text` writes an option; `algorithm` is how float
    convolutions multiply (`compress.convert`)."""

    name: str
    network: str
    recipe: Callable[[float | None, int], Recipe] | None = None
    options: tuple[float, ...] = ()
    trained: bool = False
    control: bool = False
    rate: float = 1.0
    simulated: bool = True
    starts: float = 0.0
    text: str = "{:.0%}"
    algorithm: str = "auto"

    def label(self, option: float | None) -> str:
        """The name with what was chosen."""
        return self.name if option is None else f"{self.name} {self.text.format(option)}"


def quantize(option: float | None, steps: int) -> Recipe:
    """int8 everywhere."""
    return Recipe(Quantize())


def prune_cnn(option: float | None, steps: int) -> Recipe:
    """The same sparsity in all layers but the first: its 288 weights, 0.5 % of all, see the image itself."""
    return Recipe({"*": _prune(option, steps), "conv1": None})


def prune_and_quantize_cnn(option: float | None, steps: int) -> Recipe:
    """As prune_cnn, and int8 everywhere."""
    return Recipe({"*": [_prune(option, steps), Quantize()], "conv1": Quantize()})


def share(option: float | None, steps: int) -> Recipe:
    """This many bits in all layers."""
    return Recipe(Cluster(int(option)))


def prune_and_share_cnn(option: float | None, steps: int) -> Recipe:
    """As prune_cnn, and 4 bits everywhere: once pruning ends, what is left of a layer shares 15 values."""
    return Recipe({"*": [_prune(option, steps), Cluster(4)], "conv1": Cluster(4)})


def prune_mlp(option: float | None, steps: int) -> Recipe:
    """The same sparsity in all layers but the last, whose 1000 weights are 2 % of all and make the answer."""
    return Recipe({"*": _prune(option, steps), "fc3": None})


def tensor_train_mlp(option: float | None, steps: int) -> Recipe:
    """Two cores with this rank between them in all layers but the last; more cores are for larger layers."""
    return Recipe({"*": TensorTrain(rank=int(option), cores=2), "fc3": None})


def _prune(option: float, steps: int) -> Prune:
    """By the cubic schedule, which ends after two thirds of the training."""
    return Prune(option, Cubic(end=max(2 * steps // 3, 1)))


@dataclass(frozen=True)
class Network:
    """How one network is built, and the weight decay of its training from scratch (fine-tuning has none)."""

    build: Callable[..., nn.Module]
    decay: float


NETWORKS = {"cnn": Network(nn.models.digits_cnn, 2e-2), "mlp": Network(nn.models.digits_mlp, 1e-3)}

SPARSITIES = (0.95, 0.9, 0.8, 0.7)
RANKS = (2, 4, 8, 16)
BITS = "{:.0f}-bit"
THIRD = 1 / 3  # of the tuning rate: a tenth of the rate from scratch, as Han et al. (2015) retrain

TECHNIQUES = (
    Technique("float", "cnn"), Technique("winograd", "cnn", algorithm="winograd"),
    Technique("int8", "cnn", quantize),
    Technique("int8 trained", "cnn", quantize, trained=True, rate=0.1, starts=0.7),
    Technique("pruned", "cnn", prune_cnn, SPARSITIES, trained=True, control=True, rate=THIRD),
    Technique("pruned + int8", "cnn", prune_and_quantize_cnn, SPARSITIES, True, True, THIRD, simulated=False),
    Technique("shared", "cnn", share, (4,), trained=True, rate=0.1, text=BITS),
    Technique("pruned + shared", "cnn", prune_and_share_cnn, SPARSITIES, True, True, THIRD),
    Technique("float", "mlp"), Technique("int8", "mlp", quantize),
    Technique("int8 trained", "mlp", quantize, trained=True, rate=0.1, starts=0.7),
    Technique("pruned", "mlp", prune_mlp, SPARSITIES, trained=True, control=True),
    Technique("shared", "mlp", share, (4,), trained=True, rate=0.3, text=BITS),
    Technique("tensor train", "mlp", tensor_train_mlp, RANKS, True, True, rate=3.0, text="rank {:.0f}"))
