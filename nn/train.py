"""The training loop, and how right a network is."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Generator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nn import data
from nn import functional as F
from nn.context import no_grad, undoing
from nn.data.minibatches import batches
from nn.modes import in_mode
from nn.module import Module
from nn.optim import AveragedModel, Optimizer, clip_grad_norm_
from nn.optim.schedules import Cosine, Schedule
from nn.resume import Checkpoint, Progress, described, fingerprint, sampled
from nn.tensor import Tensor

if TYPE_CHECKING:
    from nn.data.augment import Augmentation

__all__ = ["Diverged", "Epoch", "accuracy", "cosine", "fit"]


class Epoch(NamedTuple):
    """Means over one pass through the data, measured while it trains."""

    loss: float
    accuracy: float


class Diverged(FloatingPointError):
    """The loss became infinite or NaN. `layer` is the path of the first module with such an output."""

    def __init__(self, message: str, layer: str | None) -> None:
        super().__init__(message)
        self.layer = layer


cosine = Cosine()    # half a cosine from 1 to 0, for `schedule`; others are in nn.optim.schedules


def fit(
    model: Module,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    optimizer: Optimizer,
    rng: np.random.Generator,
    batch_size: int = 64,
    schedule: Schedule | None = None,
    clip_norm: float | None = None,
    average: AveragedModel | None = None,
    augment: Augmentation | None = None,
    prefetch: int = 0,
    progress: bool | str | None = None,
    on_step: Callable[[int, float], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 100,
) -> list[Epoch]:
    """Train a classifier by cross-entropy on shuffled mini-batches; returns one Epoch for each pass.

    Parameters: x (N, …) float, y (N,) integer classes. `schedule` gives the factor of the optimizer's
    learning rate (of each of its groups) for a progress in [0, 1); the rate is restored at the end.
    `clip_norm` is the norm that gradients are clipped to before a step, `average` takes in the weights after
    it. `augment(x, y, rng)` gives what to train on in the place of each batch (nn.data.augment), y as classes
    or as probabilities (N, classes), with a Generator for each batch; `prefetch` is how many batches are made
    in the background before they are needed, which changes no bit. `progress` shows a bar on stderr: True,
    False, a text to put before it, or None for "if stderr is a terminal". `on_step(step, loss)` is called
    after every step, with steps counted from 1.

    `checkpoint` is a file into which the state of the run goes at its beginning, every `every` steps and at
    its end. If it is there already, the run goes on from it, to the same bits as if it had never been killed:
    call fit with the same arguments, in the state that they had at first. Restored are parameters, buffers,
    views, the optimizer, the average, `rng`, nn.random and the log; not what a module of your own keeps
    elsewhere. The checkpoint before it is kept as `checkpoint`.previous, and used with a warning if the file
    is damaged.

    The model trains in training mode and comes back in the mode it had.
    Raises: TypeError or ValueError for data that can't be trained on; Diverged (a FloatingPointError) naming
    the layer when the loss is no longer finite: the model is then as it was before that step. ValueError for
    a checkpoint of another run (it says what differs), nn.FileError for one that is damaged and the only one.
    """
    _check(model, x, y)
    _check_count("epochs", epochs, 0)
    _check_count("batch_size", batch_size, 1)
    _check_count("every", every, 1)
    _check_count("prefetch", prefetch, 0)
    if augment is not None and not callable(augment):
        raise TypeError(f"fit: augment must be a function (x, y, rng) → (x, y), got {type(augment).__name__}")
    for name, value, wanted in (("model", model, Module), ("optimizer", optimizer, Optimizer),
                                ("rng", rng, np.random.Generator)):
        if not isinstance(value, wanted):
            raise TypeError(f"fit: {name} must be a {wanted.__name__}, got {type(value).__name__}")
    if average is not None and (not isinstance(average, AveragedModel) or average.swapped):
        raise TypeError(f"fit: average must be an AveragedModel, not swapped in, got {average!r}")
    rates, at, saved = [group["lr"] for group in optimizer.param_groups], Progress(), None
    buffers = [buffer for _, buffer in model.named_buffers()]
    if checkpoint is not None:
        settings = {"x": fingerprint(x), "y": fingerprint(y), "epochs": str(epochs),
                    "batch_size": str(batch_size), "schedule": sampled(schedule)}
        if clip_norm is not None:
            settings["clip_norm"] = str(clip_norm)
        if augment is not None:
            settings["augment"] = described(augment)
        saved = Checkpoint(checkpoint, model, optimizer, rng, settings, average,
                           epoch=math.ceil(len(x) / batch_size))
        at = saved.resume() or saved.write(at)
    steps = epochs * math.ceil(len(x) / batch_size)
    coming = (nothing for nothing in ())

    def train() -> None:
        nonlocal coming
        quiet = np.errstate(over="ignore", invalid="ignore")  # a loss that is not finite stops the training
        with _bar(progress, steps, at.step) as bar, quiet:
            while len(at.log) < epochs:
                coming = _rest_of_epoch(x, y, batch_size, rng, at, augment)
                if prefetch:
                    coming = data.prefetch(coming, prefetch)
                for inputs, classes in coming:
                    if schedule is not None:
                        factor = schedule(at.step / steps)
                        for group, rate in zip(optimizer.param_groups, rates, strict=True):
                            group["lr"] = rate * factor
                    optimizer.zero_grad()
                    loss, value, right = _forward(model, buffers, inputs, classes, at.step + 1)
                    loss.backward()
                    if clip_norm is not None:
                        clip_grad_norm_(optimizer.params, clip_norm)
                    optimizer.step()
                    if average is not None:
                        average.update_parameters()
                    at.step += 1
                    at.loss += value * len(inputs)  # weighted: the last batch may be shorter
                    at.correct += float(right)
                    if on_step is not None:
                        on_step(at.step, value)
                    bar.update()
                    if saved is not None and (at.step % every == 0 or at.step == steps):
                        saved.write(at)
                epoch = Epoch(at.loss / len(x), at.correct / len(x))
                at.log.append(epoch)
                at.loss = at.correct = 0.0
                bar.set_postfix(loss=f"{epoch.loss:.4f}", accuracy=f"{epoch.accuracy:.2%}", refresh=False)

    def end() -> None:
        coming.close()
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    in_mode(model, True, undoing, end, train)
    return [Epoch(*means) for means in at.log]


def _rest_of_epoch(
    x: np.ndarray, y: np.ndarray, size: int, rng: np.random.Generator, at: Progress,
    augment: Augmentation | None = None
) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
    """The batches of this epoch that are still to come, in the order in which it was shuffled.

    Each is augmented with a Generator of its own, so that it may be made before its turn, and again in a run
    that goes on within the epoch.
    """
    done = at.step - len(at.log) * math.ceil(len(x) / size)
    now = rng.bit_generator.state
    if done:  # the run was killed within the epoch: shuffle once more as it did
        rng.bit_generator.state = at.shuffled_from
    else:
        at.shuffled_from = now
    every = batches(x, y, size, rng)
    key = None if augment is None else int(rng.integers(1 << 63))
    if done:
        rng.bit_generator.state = now
    return ((inputs, classes) if augment is None else _augmented(augment, inputs, classes, [key, i])
            for i, (inputs, classes) in islice(enumerate(every), done, None))


def _augmented(
    augment: Augmentation, inputs: np.ndarray, classes: np.ndarray, seed: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    made = augment(inputs, classes, np.random.default_rng(seed))
    if not isinstance(made, tuple) or len(made) != 2 or not all(isinstance(a, np.ndarray) for a in made):
        raise TypeError(f"fit: augment must return two arrays (x, y), got {type(made).__name__}")
    x, y = made
    fits = y.ndim == 1 if y.dtype.kind in "iu" else y.ndim == 2 and y.dtype.kind == "f"
    if x.dtype.kind != "f" or x.ndim < 2 or not fits or not len(x) == len(y) == len(inputs):
        raise ValueError(f"fit: augment must return x ({len(inputs)}, …) of floats and as many classes or "
                         f"rows of probabilities y, got {x.dtype} {x.shape} and {y.dtype} {y.shape}")
    return x, y


def accuracy(model: Callable[[Any], Any], x: np.ndarray, y: np.ndarray, *, batch_size: int = 256) -> float:
    """The fraction of the rows of x whose largest output is at their class y, in 0..1.

    `model` is a Module (measured in evaluation mode, without a graph; its mode is restored) or anything that
    maps an array (N, …) to an array (N, classes).
    Raises: TypeError or ValueError for data that can't be measured on.
    """
    _check(model, x, y)

    def count() -> int:
        correct = 0
        with no_grad():
            for inputs, classes in batches(x, y, batch_size, np.random.default_rng(0), shuffle=False):
                out = model(Tensor(inputs) if isinstance(model, Module) else inputs)
                out = np.asarray(out.data if isinstance(out, Tensor) else out)
                if out.ndim != 2 or len(out) != len(inputs):
                    raise ValueError(
                        f"the model must give (N, classes) for {len(inputs)} rows, got {out.shape}")
                correct += np.count_nonzero(out.argmax(axis=1) == classes)
        return correct

    return in_mode(model, False, count) / len(x)


def _check(model: Any, x: np.ndarray, y: np.ndarray) -> None:
    if not callable(model):
        raise TypeError(f"model must be a Module or a callable, got {type(model).__name__}")
    for name, array, kinds, wanted in (("x", x, "f", "floats"), ("y", y, "iu", "integer classes")):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
            got = getattr(array, "dtype", type(array).__name__)
            raise TypeError(f"{name} must be an array of {wanted}, got {got}")
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x must be (N, …) and y (N,) with the same N > 0, got {x.shape} and {y.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"x has NaN or infinity in row {int(np.argwhere(~np.isfinite(x))[0, 0])}")
    if y.min() < 0:
        raise ValueError(f"y has the class {y.min()}; classes count from 0")


def _check_count(name: str, value: int, least: int) -> None:
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"fit: {name} must be a whole number >= {least}, got {value!r}")


def _forward(
    model: Module, buffers: list[np.ndarray], inputs: np.ndarray, classes: np.ndarray, step: int
) -> tuple[Tensor, float, int]:
    """The loss of a batch, its value, and how many rows are right, or an error that leaves no trace."""
    before = [array.copy() for array in buffers]
    try:
        logits = model(Tensor(inputs))
        if logits.ndim != 2:
            raise ValueError(f"the model must give logits (N, classes), got {logits.shape}")
        if classes.ndim == 2 and classes.shape != logits.shape:
            raise ValueError(f"y has probabilities {classes.shape}, but the model logits {logits.shape}")
        if classes.ndim == 1 and classes.max() >= logits.shape[1]:
            raise ValueError(f"y has the class {classes.max()}, but the model has {logits.shape[1]} outputs")
        loss = F.cross_entropy(logits, classes)
        value = loss.item()
        if not math.isfinite(value):
            raise _diverged(model, inputs, value, step)
    except Exception:
        for array, was in zip(buffers, before, strict=True):  # batch norm has taken the batch into them
            array[...] = was
        raise
    likeliest = classes if classes.ndim == 1 else classes.argmax(axis=1)
    return loss, value, np.count_nonzero(logits.data.argmax(axis=1) == likeliest)


def _diverged(model: Module, inputs: np.ndarray, loss: float, step: int) -> Diverged:
    """Run the batch through a copy whose modules are watched, and name the first that fails."""
    watched = copy.deepcopy(model)
    first: list[str] = []
    for path, module in list(watched.named_modules()):
        module.forward = _watch(module.forward, path, first)
    with no_grad(), np.errstate(all="ignore"):
        watched(Tensor(inputs))
    layer = first[0] if first else None
    where = "every module's output is finite"
    if layer is not None:
        where = f"the first layer whose output is not finite is {layer or type(model).__name__!r}"
    return Diverged(f"fit: the loss is {loss} at step {step}: {where}; try a smaller learning rate", layer)


def _watch(forward: Callable[..., Tensor], path: str, first: list[str]) -> Callable[..., Tensor]:
    def watching(*args: Any, **kwargs: Any) -> Tensor:
        out = forward(*args, **kwargs)
        if not np.isfinite(out.data).all():
            first.append(path)
        return out

    return watching


def _bar(progress: bool | str | None, total: int, done: int) -> Any:
    from tqdm import tqdm

    text = progress if isinstance(progress, str) else None
    hidden = None if progress is None else progress is False  # None: tqdm looks whether stderr is a terminal
    return tqdm(total=total, initial=done, desc=text, disable=hidden, leave=False, unit="step")
