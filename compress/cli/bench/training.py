"""Training beside PyTorch: an epoch of the networks for digits, a step and an inference of one like VGG.

Both libraries run the same lines on the same batches from the same weights. PyTorch runs as one writes it
first, and at its best: images channels last, the fused Adam. All share a process, and with it the heap that
nn.memory has told to keep what is freed: alone, PyTorch gets its memory from the system each time."""

from collections.abc import Callable, Iterator
from timeit import Timer
from typing import Any

import numpy as np

import compress
import nn
from nn import functional as F

from . import architectures, peers
from .architectures import like, vgg
from .row import Row
from .timing import Times, context, digits, interleaved, timer

BATCH = 64
EPOCH = """
for x, y in batches:
    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.step()
"""
DEFAULT, BEST = "PyTorch", "PyTorch at its best"
SIDE, IMAGES = 32, 64  # of the network like VGG: of its images; a batch


def rows(seconds: float) -> Iterator[Row]:
    """How many times as fast as PyTorch."""
    why = peers.missing("torch")
    measured = None if why else _measured(seconds)
    for measure, bars in (("digits_cnn, an epoch", {DEFAULT: 1.6, BEST: 1.15}),
                          ("digits_mlp, an epoch", {DEFAULT: 2.0, BEST: 1.4}),
                          (f"VGG 64-64-128-128, {IMAGES} images of {SIDE}², a step", {BEST: 1.0}),
                          (f"VGG 64-64-128-128, {IMAGES} images of {SIDE}², inference", {BEST: 1.0})):
        times = measured and next(measured)
        yield from (_row(measure, times, peer, bar, why) for peer, bar in bars.items())


def _row(measure: str, times: dict[str, Times] | None, peer: str, bar: float, why: str | None) -> Row:
    if times is None:
        return Row("training", f"{measure}, beside {peer}", None, "× PyTorch", bar, why=why)
    theirs = min(times[name].median for name in ((DEFAULT, BEST) if peer == BEST else (DEFAULT,)))
    ours = min(one.median for name, one in times.items() if "PyTorch" not in name)
    beside = context(times, "ms", lambda seconds: 1e3 * seconds)
    ratio, measure = digits(theirs / ours), f"{measure}, beside {peer}"
    return Row("training", measure, ratio, "× PyTorch", bar, context=beside)


def _measured(seconds: float) -> Iterator[dict[str, Times]]:
    """The times of each of the four, in their order."""
    peers.import_torch()  # in one thread
    data, rng = nn.data.digits(), np.random.default_rng(0)
    random = rng.standard_normal((IMAGES, 3, SIDE, SIDE), np.float32), rng.integers(10, size=IMAGES)
    epoch = list(nn.data.batches(data.x_train, data.y_train, BATCH, rng))
    yield interleaved(_training(nn.models.digits_cnn(rng=rng), architectures.digits_cnn, epoch), 4 * seconds)
    yield interleaved(_training(nn.models.digits_mlp(rng=rng), architectures.digits_mlp, epoch), 2 * seconds)
    yield interleaved(_training(vgg(nn, rng=rng), vgg, [random]), seconds)
    yield interleaved(_inference(vgg(nn, rng=rng), random[0]), seconds)


def _training(model: nn.Module, twin: Callable[[Any], Any], epoch: list[tuple[np.ndarray, np.ndarray]]):
    """Who trains: ours and PyTorch's `twin` of it, from the same weights."""
    import torch

    def theirs(best: bool) -> dict[str, Any]:
        layout = torch.channels_last if best else torch.contiguous_format
        network = like(twin(torch.nn), model).to(memory_format=layout)
        return {"batches": [(torch.from_numpy(x).contiguous(memory_format=layout),
                             torch.from_numpy(y.astype(np.int64))) for x, y in epoch], "model": network,
                "optimizer": torch.optim.Adam(network.parameters(), fused=best or None),
                "cross_entropy": torch.nn.functional.cross_entropy}

    everyone = {DEFAULT: theirs(False), BEST: theirs(True)}
    everyone["ours"] = {"batches": [(nn.Tensor(x), y) for x, y in epoch], "model": model,
                        "optimizer": nn.optim.Adam(model.parameters()), "cross_entropy": F.cross_entropy}
    losses = []
    for names in everyone.values():
        x, y = names["batches"][0]
        losses.append(float(names["cross_entropy"](names["model"](x), y).detach().numpy()))
    if not np.allclose(losses, losses[0], rtol=1e-4):
        raise RuntimeError(f"bench: the networks differ, losses {losses}")
    return {name: timer(EPOCH, **names) for name, names in everyone.items()}


def _inference(model: nn.Module, x: np.ndarray) -> dict[str, Timer]:
    """The network and its Program, and PyTorch's in both layouts."""
    import torch

    model.eval()
    network, program = like(vgg(torch.nn), model).eval(), compress.convert(model, x)
    image = torch.from_numpy(x)
    theirs = "with mode():\n  model(x)"
    with torch.inference_mode():
        results = {"PyTorch": network(image).numpy(), "the Program": np.asarray(program(x))}
    with nn.no_grad():
        results["ours"] = model(nn.Tensor(x)).numpy()
    for name, result in results.items():
        if not np.allclose(result, results["ours"], atol=1e-4 * float(np.abs(results["ours"]).max())):
            raise RuntimeError(f"bench: {name} differs")
    last = like(vgg(torch.nn), model).eval().to(memory_format=torch.channels_last)
    with_last = image.contiguous(memory_format=torch.channels_last)
    return {"ours": timer("with mode():\n  model(x)", mode=nn.no_grad, model=model, x=nn.Tensor(x)),
            "Program": timer("program(x)", program=program, x=x),
            DEFAULT: timer(theirs, mode=torch.inference_mode, model=network, x=image),
            BEST: timer(theirs, mode=torch.inference_mode, model=last, x=with_last)}
