"""The rows of the ledger of networks for digits: what is done to which, and what validation may choose."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import nn

from .. import GPTQ, Cluster, Huffman, Quantize, Rans, Recipe, TensorTrain, Transform, rate
from . import pruned
from .pruned import prune


@dataclass(frozen=True)
class Technique:
    """One row. `options` are what validation chooses among, the smallest file first; `recipe(option,
    steps)` is what is attached, `steps` being the optimizer steps of the training that follows; `trained`
    says whether one follows, and `rate` at how many times the usual learning rate (a network whose batch
    norms stand still wants smaller steps, fresh cores want larger ones); `simulated`, whether activations are
    quantized in it too; `starts`, which part of that training the float network goes through first
    (Krishnamoorthi 2018, §3.2: begin with a trained network), and `ends`, after which part of it what was
    attached is taken off again. `control` asks for a row beside it: a small
    dense network of equal bytes and equal epochs. `text` writes an option; `algorithm` is how float
    convolutions multiply (`compress.convert`). `more`: a row that only --all, or its name, asks for.
    `fitted(model, data, option, steps)` is a recipe, too, but of one network, and of training images; `cut`
    makes a smaller network of a float one in its place, and `compacted` cuts what was pruned out in the end;
    `penalty(model, option)` is added to the loss; `taught`: it learns from the float network, and `student`:
    it is a small dense network with `option` of the weights, trained from scratch; `width`: of the network
    that it starts from, beside that of the others."""

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
    ends: float = 1.0
    fitted: Callable[[nn.Module, nn.data.Digits, float | None, int], Recipe] | None = None
    cut: Callable[[nn.Module, nn.data.Digits, float | None], nn.Module] | None = None
    compacted: bool = False
    penalty: Callable[[nn.Module, float | None], nn.Tensor] | None = None
    taught: bool = False
    student: bool = False
    width: float = 1.0

    def label(self, option: float | None) -> str:
        """The name with what was chosen."""
        return self.name if option is None else f"{self.name} {self.text.format(option)}"


def quantize(option: float | None, steps: int) -> Recipe:
    """int8 everywhere."""
    return Recipe(Quantize())


PRICES = (8e-6, 4e-6, 2e-6, 1e-6)  # of a bit, beside a cross-entropy in nats
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
    return Recipe({"*": prune(option, steps), "conv1": None})


def prune_and_quantize_cnn(option: float | None, steps: int) -> Recipe:
    """As prune_cnn, and int8 everywhere."""
    return Recipe({"*": [prune(option, steps), Quantize()], "conv1": Quantize()})


def share(option: float | None, steps: int) -> Recipe:
    """This many bits in all layers."""
    return Recipe(Cluster(int(option)))


def share_on_integers(option: float | None, steps: int) -> Recipe:
    """The same with values and activations of int8."""
    return Recipe(Cluster(int(option), activations="int8-dynamic"))


def prune_and_share_cnn(option: float | None, steps: int) -> Recipe:
    """As prune_cnn, and 4 bits everywhere: once pruning ends, what is left of a layer shares 15 values."""
    return Recipe({"*": [prune(option, steps), Cluster(4)], "conv1": Cluster(4)})


def deep_compression_cnn(option: float | None, steps: int) -> Recipe:
    """As prune_and_share_cnn, and Huffman-coded."""
    return Recipe({"*": [prune(option, steps), Cluster(4), Huffman()], "conv1": [Cluster(4), Huffman()]})


def prune_quantize_and_code_cnn(option: float | None, steps: int) -> Recipe:
    """As prune_and_quantize_cnn with 4 bits, but 8 in the first layer, and coded by rANS."""
    rest = [prune(option, steps), Quantize(4, **CLOSEST), Rans()]
    return Recipe({"*": rest, "conv1": [Quantize(), Rans()]})


def int4_and_code_cnn(option: float | None, steps: int) -> Recipe:
    """4 bits, but 8 in the first layer, coded by rANS."""
    return Recipe({"*": [Quantize(4, **CLOSEST), Rans()], "conv1": [Quantize(), Rans()]})


def price_of_bits(model: nn.Module, option: float | None) -> nn.Tensor:
    """What an entropy coder takes for the weights, at this price, in the loss (compress/rate.py)."""
    return option * rate(model)


def prune_mlp(option: float | None, steps: int) -> Recipe:
    """The same sparsity in all layers but the last, whose 1000 weights are 2 % of all and make the answer."""
    return Recipe({"*": prune(option, steps), "fc3": None})


def tensor_train_mlp(option: float | None, steps: int) -> Recipe:
    """Two cores with this rank between them in all layers but the last; more cores are for larger layers."""
    return Recipe({"*": TensorTrain(rank=int(option), cores=2), "fc3": None})


@dataclass(frozen=True)
class Network:
    """How one network is built, and the weight decay of its training from scratch (fine-tuning has none)."""

    build: Callable[..., nn.Module]
    decay: float


NETWORKS = {"cnn": Network(nn.models.digits_cnn, 2e-2), "mlp": Network(nn.models.digits_mlp, 1e-3),
            "lenet-300-100": Network(nn.models.lenet_300_100, 1e-3),
            "lenet-5": Network(nn.models.lenet_5, 1e-3), "char": Network(nn.models.char_transformer, 0.0)}

SPARSITIES = (0.95, 0.9, 0.8, 0.7)
RANKS = (2, 4, 8, 16)
PARTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the weights, that a student has
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


def _pruned(name: str, *how: object, option: float = 0.95, **more: object) -> Technique:
    """A row of --all: digits_cnn pruned to one sparsity, that which validation chooses for `pruned`."""
    options = () if option is None else (option,)
    return Technique(name, "cnn", *how, options=options, trained=True, more=True, **{"rate": THIRD} | more)


def taught(row: Technique) -> Technique:
    """A row of --all: the same, which learns from the float network in equal epochs."""
    return replace(row, name=f"{row.name}, taught", taught=True, control=False, more=True)


PATTERNS = (  # name of the row, pattern, layers, sparsity; blocks of ten outputs would be whole answers
    ("pruned 4x1", "4x1", pruned.PRUNED[:2], 0.9), ("pruned 8x1", "8x1", pruned.PRUNED[:2], 0.9),
    ("pruned 2:4", "2:4", pruned.PRUNED, None), ("pruned shapes", "shape", pruned.PRUNED[:2], 0.75))
TWO_BITS = _both("int2 × uint2", Quantize(2, activations="uint2", **CLOSEST))
ONE_BIT = _both("binary × uint1", Quantize(1, activations="uint1", **CLOSEST))
STUDENT = Technique("student", "cnn", None, PARTS, trained=True, text="{:.1%}", more=True, student=True)
STRUCTURES = (("pruned filters", "filter", pruned.CONVOLUTIONS, 0.3),
              ("pruned channels", "channel", pruned.PRUNED[:2], 0.3))

TECHNIQUES += (
    *(_pruned(name, partial(pruned.by_pattern, pattern, layers), option=option)
      for name, pattern, layers, option in PATTERNS),
    *(_pruned(name, partial(pruned.by_pattern, pattern, layers), option=option, compacted=True, control=True,
              rate=1.0) for name, pattern, layers, option in STRUCTURES),
    _pruned("channels removed", cut=pruned.without_channels, option=0.5, text="to {:.0%} of the MACs",
            control=True, rate=1.0),
    *(_pruned(f"pruned by {score}", partial(pruned.by_score, score)) for score in ("taylor", "obd", "obs")),
    _pruned("pruned globally", fitted=pruned.globally), _pruned("pruned by a scan", fitted=pruned.scanned),
    _pruned("RigL", pruned.regrown),
    _pruned("dense-sparse-dense", pruned.at_once, option=0.3, starts=1 / 3, ends=2 / 3, rate=1.0),
    Technique("pruned rows", "mlp", partial(pruned.by_pattern, "row", ("fc1", "fc2")), (0.5,), trained=True,
              control=True, more=True, compacted=True),
    *(Technique("shared int8", network, share_on_integers, (4,), True, rate=rate, text=BITS, more=True)
      for network, rate in (("cnn", 0.1), ("mlp", 0.3))),
    Technique("int4 + rANS", "cnn", int4_and_code_cnn, trained=True, rate=THIRD, more=True),
    Technique("int4 + rANS, rate in the loss", "cnn", int4_and_code_cnn, PRICES, True, rate=THIRD,
              text="λ={:.0e}", more=True, penalty=price_of_bits),
    *(Technique(name, "cnn", recipe, SPARSITIES, trained=True, control=True, rate=THIRD, more=True)
      for name, recipe in (("pruned + shared + Huffman", deep_compression_cnn),
                           ("pruned + int4 + rANS", prune_quantize_and_code_cnn))),
    *(Technique(name, "cnn", partial(everywhere, Quantize(weights=name)), more=True)
      for name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")),
    *_both("int4", Quantize(4, **CLOSEST)), _after("int4 GPTQ", GPTQ(4)),
    *_both("int3", Quantize(3, **CLOSEST)), _after("int3 GPTQ", GPTQ(3)),
    *_both("int2", Quantize(2, **CLOSEST)), _after("int2 GPTQ", GPTQ(2)),
    *TWO_BITS,
    *_both("powers of two", Quantize(weights="pow2")), *_both("ternary", Quantize(weights="ternary")),
    *_both("binary", Quantize(1)), *ONE_BIT,
    *map(taught, (_pruned("pruned", prune_cnn), TWO_BITS[1], ONE_BIT[1])), STUDENT, taught(STUDENT))
