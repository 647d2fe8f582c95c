"""The rows of the ledger: what is done to which network, and what validation may choose."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import nn

from .. import GPTQ, Cluster, Cubic, Huffman, Prune, Quantize, Rans, Recipe, TensorTrain, Transform


@dataclass(frozen=True)
class Technique:
    """One row. `options` are what validation chooses among, the smallest file first; `recipe(option,
    steps)` is what is attached, `steps` being the optimizer steps of the training that follows; `trained`
    says whether one follows, and `rate` at how many times the usual learning rate (a network whose batch
    norms stand still wants smaller steps, fresh cores want larger ones); `simulated`, whether activations are
    quantized in it too; `starts`, which part of that training the float network goes through first
    (Krishnamoorthi 2018, §3.2: begin with a trained network). `control` asks for a row beside it: a small
    dense network of equal bytes and equal epochs. `text` writes an option; `algorithm` is how float
    convolutions multiply (`compress.convert`). `more`: a row that only --all, or its name, asks for."""

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
    more: bool = False

    def label(self, option: float | None) -> str:
        """The name with what was chosen."""
        return self.name if option is None else f"{self.name} {self.text.format(option)}"


def quantize(option: float | None, steps: int) -> Recipe:
    """int8 everywhere."""
    return Recipe(Quantize())


CLOSEST = {"ranges": "mse", "scales": "mse"}  # few values do better to clip the largest numbers
ENDS = ("conv1", "fc")  # the first and the last layer of digits_cnn


def everywhere(how: Transform, option: float | None, steps: int) -> Recipe:
    """`how` in all layers."""
    return Recipe(how)


def in_the_middle(how: Transform, option: float | None, steps: int) -> Recipe:
    """`how` in all layers but the first and the last, which are small and see the image, and the answer,
    itself (Zhou et al. 2016, "DoReFa-Net", §2.7): they have int8."""
    ends = Quantize(8, activations=None if how.activations is None else "uint8")
    return Recipe({"*": how, **dict.fromkeys(ENDS, ends)})


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


def deep_compression_cnn(option: float | None, steps: int) -> Recipe:
    """As prune_and_share_cnn, and Huffman-coded."""
    return Recipe({"*": [_prune(option, steps), Cluster(4), Huffman()], "conv1": [Cluster(4), Huffman()]})


def prune_quantize_and_code_cnn(option: float | None, steps: int) -> Recipe:
    """As prune_and_quantize_cnn with 4 bits, but 8 in the first layer, and coded by rANS."""
    rest = [_prune(option, steps), Quantize(4, **CLOSEST), Rans()]
    return Recipe({"*": rest, "conv1": [Quantize(), Rans()]})


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


NETWORKS = {"cnn": Network(nn.models.digits_cnn, 2e-2), "mlp": Network(nn.models.digits_mlp, 1e-3),
            "lenet-300-100": Network(nn.models.lenet_300_100, 1e-3),
            "lenet-5": Network(nn.models.lenet_5, 1e-3)}

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


def _after(name: str, how: Transform) -> Technique:
    """A row of --all: quantized after training, but for the first and the last layer."""
    return Technique(name, "cnn", partial(in_the_middle, how), more=True)


def _both(name: str, how: Transform) -> tuple[Technique, ...]:
    """The same, and a row that is trained so."""
    after = _after(name, how)
    return after, replace(after, name=f"{name} trained", trained=True, rate=THIRD)


TECHNIQUES += (
    *(Technique(name, "cnn", recipe, SPARSITIES, trained=True, control=True, rate=THIRD, more=True)
      for name, recipe in (("pruned + shared + Huffman", deep_compression_cnn),
                           ("pruned + int4 + rANS", prune_quantize_and_code_cnn))),
    *(Technique(name, "cnn", partial(everywhere, Quantize(weights=name)), more=True)
      for name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")),
    *_both("int4", Quantize(4, **CLOSEST)), _after("int4 GPTQ", GPTQ(4)),
    *_both("int3", Quantize(3, **CLOSEST)), _after("int3 GPTQ", GPTQ(3)),
    *_both("int2", Quantize(2, **CLOSEST)), _after("int2 GPTQ", GPTQ(2)),
    *_both("int2 × uint2", Quantize(2, activations="uint2", **CLOSEST)),
    *_both("powers of two", Quantize(weights="pow2")), *_both("ternary", Quantize(weights="ternary")),
    *_both("binary", Quantize(1)), *_both("binary × uint1", Quantize(1, activations="uint1", **CLOSEST)))
