"""Deep Compression (Han, Mao & Dally 2016): how much of each layer is kept, and how many bits a shared weight
has.

The digits' network keeps what makes its file 25 times smaller with something to spare; by how many bits it
is shared, and its learning rate, were chosen on training images that were held out. The fractions and bits of
the LeNets are those of the paper's Tables 2 and 3. Its gaps have 5 bits; here they have the width that takes
the fewest."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .. import Cluster, Cubic, Huffman, Prune, Recipe
from .experiment import Budget
from .job import FULL, QUICK


@dataclass(frozen=True)
class Setting:
    """How one network goes through the pipeline. network: one of NETWORKS. layers: of each the fraction of
    its weights that is kept (1: none is pruned) and the bits of a shared weight. budget: of both phases;
    rate: the learning rate of the second, beside that of the float network."""

    network: str
    layers: Mapping[str, tuple[float, int]]
    budget: Budget
    rate: float = 1.0

    def recipe(self, steps: int) -> Recipe:
        """What is attached for the second phase, of so many optimizer steps: pruning ends after two thirds,
        then what is left is shared, and the shared values are trained; in the file all is Huffman-coded."""
        schedule = Cubic(end=max(2 * steps // 3, 1))

        def chain(kept: float, bits: int) -> list:
            return [*([Prune(round(1 - kept, 6), schedule)] if kept < 1 else []), Cluster(bits), Huffman()]

        return Recipe({layer: chain(*how) for layer, how in self.layers.items()})

    def quick(self) -> "Setting":
        """The same with a few epochs and fewer values, to see that it works."""
        return replace(self, budget=replace(QUICK, batch=16))


DIGITS = (
    Setting("cnn", {"conv1": (1, 4), "conv2": (0.1, 4), "conv3": (0.1, 4), "fc": (0.1, 4)}, FULL),)
MNIST = (
    Setting("lenet-300-100", {"fc1": (0.08, 6), "fc2": (0.09, 6), "fc3": (0.26, 6)},
            Budget(base=10, tune=12, base_rate=2e-3, tune_rate=1e-3, batch=64, rounds=9)),
    Setting("lenet-5", {"conv1": (0.66, 8), "conv2": (0.12, 8), "fc1": (0.08, 5), "fc2": (0.19, 5)},
            Budget(base=10, tune=12, base_rate=2e-3, tune_rate=1e-3, batch=32, rounds=5)))
