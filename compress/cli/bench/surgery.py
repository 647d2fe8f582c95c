"""surgery: a residual network without half of its multiply-adds, beside itself, and trained from scratch.

Filters are removed by magnitude, so that multiples of 16 channels stay (with any number of channels, as close
to half as it can be, less time is saved), batch norm recalibrated, the rest fine-tuned. The control is the
network of the same small layers that never was a larger one, trained for as many epochs as both took together
(Liu, Sun, Zhou, Huang & Darrell 2019, "Rethinking the value of network pruning")."""

import copy
import statistics
from collections.abc import Iterator

import numpy as np

import compress
import nn
from compress import Program

from .row import Row
from .timing import context, digits, interleaved, timer

LEFT = 0.5  # of the multiply-adds
SIDE, BATCHES = 32, (1, 16, 64)
FASTER = 1.7
SEEDS, LARGE, TUNED = 3, 2, 2  # runs; epochs of the large network, and of what is left of it


def rows(seconds: float) -> Iterator[Row]:
    """The time of the Programs for some batches; the accuracies."""
    data, name = _data()
    x, large = data.x_train[:3], nn.models.small_resnet(rng=np.random.default_rng(0)).eval()
    networks = {"unpruned": large, "pruned": compress.prune_channels(large, x, macs=LEFT),
                "pruned to any number of channels": compress.prune_channels(large, x, macs=LEFT, multiple=1)}
    programs = {name: compress.convert(network, x) for name, network in networks.items()}
    macs = {name: f"{_macs(network, x) / _macs(large, x):.0%}" for name, network in networks.items()}
    for images in BATCHES:
        yield _timed(programs, data.x_train[:images], macs, seconds)
    yield _accuracies(data, name)


def _data() -> tuple[nn.data.Digits, str]:
    """5000 images of MNIST with a border of zeros; the 8×8 digits enlarged where MNIST is not installed."""
    try:
        data, name = nn.data.mnist5k(), "mnist5k"
        larger = [np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2))) for x in (data.x_train, data.x_test)]
    except FileNotFoundError:
        data, name = nn.data.digits(), "digits"
        larger = [np.kron(x, np.ones((1, 1, 4, 4), np.float32)) for x in (data.x_train, data.x_test)]
    return data._replace(x_train=larger[0], x_test=larger[1]), name


def _macs(model: nn.Module, x: np.ndarray) -> int:
    """The multiply-adds of an image, each counted where a convolution says so: not those that Winograd's way
    takes."""
    return compress.convert(model, x, algorithm="direct").macs


def _timed(programs: dict[str, Program], x: np.ndarray, macs: dict[str, str], seconds: float) -> Row:
    timers = {name: timer("program(x)", program=program, x=x) for name, program in programs.items()}
    times = interleaved(timers, seconds)
    ratio = times["unpruned"].median / times["pruned"].median
    measure = (f"small_resnet pruned to half its multiply-adds, {len(x)} image{'s' * (len(x) > 1)}: its "
               "Program beside that of the unpruned network")
    return Row("surgery", measure, digits(ratio), "× as fast", FASTER,
               context={"multiply-adds": macs, **context(times, "ms", lambda seconds: 1e3 * seconds)})


def _accuracies(data: nn.data.Digits, name: str) -> Row:
    """Fine-tuned against from scratch, paired by seed."""
    found: dict[str, list[float]] = {"unpruned": [], "pruned": [], "fine-tuned": [], "from scratch": []}
    for seed in range(SEEDS):
        large = _trained(nn.models.small_resnet(rng=np.random.default_rng(seed)), data, LARGE, seed)
        small = compress.prune_channels(large, data.x_train[:3], macs=LEFT)
        compress.recalibrate(small, data.x_train[:1000])
        found["unpruned"].append(_accuracy(large, data))
        found["pruned"].append(_accuracy(small, data))
        found["fine-tuned"].append(_accuracy(_trained(small, data, TUNED, seed), data))
        fresh = _same_sizes(small, seed)
        found["from scratch"].append(_accuracy(_trained(fresh, data, LARGE + TUNED, seed), data))
    gains = [a - b for a, b in zip(found["fine-tuned"], found["from scratch"], strict=True)]
    gain, error = statistics.fmean(gains), statistics.stdev(gains) / SEEDS**0.5
    wins = "neither, by this" if abs(gain) <= error else "pruned" if gain > 0 else "from scratch"
    measure = (f"small_resnet pruned and fine-tuned, over the same small network from scratch, {name}, "
               f"{SEEDS} seeds paired")
    return Row("surgery", measure, round(gain, 2), "points of accuracy",
               context={"wins": wins, "±": round(error, 2),
                        "accuracy %": {who: round(statistics.fmean(some), 2) for who, some in found.items()},
                        "epochs": f"{LARGE} and {TUNED}, from scratch {LARGE + TUNED}"})


def _trained(model: nn.Module, data: nn.data.Digits, epochs: int, seed: int) -> nn.Module:
    nn.train.fit(model, data.x_train, data.y_train, epochs=epochs, rng=np.random.default_rng(seed),
                 optimizer=nn.optim.Adam(model.parameters(), lr=2e-3), schedule=nn.train.cosine)
    return model


def _same_sizes(small: nn.Module, seed: int) -> nn.Module:
    """An untrained network of the layers of this one."""
    fresh, rng = copy.deepcopy(small), np.random.default_rng(seed)
    for module in fresh.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.fan_in_uniform_(module.weight, module.bias, rng)
        elif isinstance(module, nn.BatchNorm2d):
            for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
                array = getattr(module, name)
                (array if isinstance(array, np.ndarray) else array.data)[:] = value
    return fresh


def _accuracy(model: nn.Module, data: nn.data.Digits) -> float:
    return 100 * nn.train.accuracy(model, data.x_test, data.y_test)
