"""The training loop, and the accuracy of a network."""

import copy
import math
import os
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from . import data, memory
from .arguments import count, instance
from .context import no_grad, undoing
from .data.minibatches import Augmentation, batches, changed, rows_of_batches
from .module import Module, buffers_of, in_mode
from .objective import AnyLoss, BatchLoss, Objective
from .optim import AveragedModel, Optimizer, clip_grad_norm_
from .optim.schedules import Cosine, Schedule
from .recompute import leaves
from .resume import Checkpoint, Progress, described, fingerprint, sampled
from .tensor import Tensor


class Epoch(NamedTuple):
    """Means over one pass through the data, measured while it trains."""

    loss: float
    accuracy: float | None  # None where the targets are not classes


class Diverged(FloatingPointError):
    """The loss is infinite or NaN (`message`). `layer`: path of the first module whose output is, or None."""

    def __init__(self, message: str, layer: str | None) -> None:
        super().__init__(message)
        self.layer = layer

    def __reduce__(self) -> tuple:
        return type(self), (str(self), self.layer)  # to be pickled, as it is when a process pool raises it


cosine = Cosine()  # half a cosine from 1 to 0, for `schedule`; others are in nn.optim.schedules


def fit(model: Module, x: np.ndarray, y: np.ndarray, *, epochs: int, optimizer: Optimizer,
        rng: np.random.Generator, batch_size: int = 64, loss: AnyLoss | None = None,
        penalty: Callable[[Module], Tensor] | None = None, schedule: Schedule | None = None,
        clip_norm: float | None = None, average: AveragedModel | None = None,
        augment: Augmentation | None = None, prefetch: int = 0, progress: bool | str | None = None,
        on_step: Callable[[int, float], None] | None = None, checkpoint: str | os.PathLike[str] | None = None,
        every: int = 100) -> list[Epoch]:
    """Train a model on shuffled mini-batches, by cross-entropy or another loss; returns an Epoch a pass.

    Parameters: x (N, …) numbers (integers for text), y (N,) integer classes, which pass through the model
    `epochs` times, in batches of `batch_size`. `loss(outputs, targets)` gives the scalar Tensor to minimise
    instead of F.cross_entropy, from the model's output for a batch and the batch's rows of y (a Tensor); y
    (N, …) may then be any numbers, as for a regression by F.mse_loss. A BatchLoss (nn.objective) sees the
    inputs and the model, too: those of nn.distill learn from a teacher. `penalty(model)` gives a scalar
    Tensor to add to the loss (and to Epoch.loss). `schedule` gives the factor of the learning rate (of all of
    the optimizer's groups) for a progress in [0, 1); the rate is restored at the end. `clip_norm` is the norm
    that gradients are clipped to before a step; `average` is updated after it. `augment(x, y, rng)` gives
    what to train on instead of each batch (nn.data.augment), y as classes or as probabilities (N, classes),
    with a Generator for each batch. `prefetch` is how many batches are made in the background before they are
    needed, which changes no bit. `progress` shows a bar on stderr: True, False, a text to put before it, or
    None for "if stderr is a terminal". `on_step(step, loss)` is called after every step, with steps counted
    from 1.

    `checkpoint` is a file for the state of the run, written at its beginning, every `every` steps and at its
    end. If it exists, the run goes on from it, to the same bits as if it had never been killed: call fit with
    the same arguments in their first state. Parameters, buffers, parametrizations, the optimizer, the
    average, `rng`, nn.random and the log are restored; what a module of your own keeps elsewhere is not. The
    checkpoint before it is kept as `checkpoint`.previous, and used, with a warning, for a damaged one.

    The model trains in training mode; its mode is restored. glibc keeps freed memory from now on (nn.memory).
    Raises: TypeError or ValueError for data that can't be trained on; Diverged (a FloatingPointError) naming
    the layer when the loss is no longer finite: the model is then as it was before that step. ValueError for
    an optimizer that trains none of the model's parameters, and for a checkpoint of another run (it says what
    differs), nn.FileError for one that is damaged and the only one."""
    _check(model, x, y, classes=loss is None)
    for name, value, least in (("epochs", epochs, 0), ("batch_size", batch_size, 1), ("every", every, 1),
                               ("prefetch", prefetch, 0)):
        count("fit", name, value, least)
    optional = (Callable, type(None))
    for name, value, kind, wanted in (
            ("augment", augment, optional, "a function (x, y, rng) → (x, y)"),
            ("loss", loss, optional, "a function"), ("penalty", penalty, optional, "a function"),
            ("model", model, Module, "a Module"), ("optimizer", optimizer, Optimizer, "an Optimizer"),
            ("rng", rng, np.random.Generator, "a Generator")):
        instance("fit", name, value, kind, wanted)
    if average is not None and (not isinstance(average, AveragedModel) or average.swapped):
        raise TypeError(f"fit: average must be an AveragedModel, not swapped in, got {average!r}")
    own = {id(p) for _, weight in model.named_parameters() for p in (weight, *weight.trainables())}
    if own and not own & {id(p) for p in optimizer.params}:
        raise ValueError("fit: the optimizer trains none of the model's parameters; build it of those of "
                         f"this {type(model).__name__}, after it was copied or cut")
    if isinstance(loss, BatchLoss):
        loss.check(model, x, y)
        if not {id(p) for p in loss.parameters() if p.requires_grad} <= {id(p) for p in optimizer.params}:
            raise ValueError(f"fit: the optimizer does not train all parameters of {loss!r}; build it of "
                             "[*model.parameters(), *loss.parameters()]")
    if not memory.chosen:
        memory.keep_freed()
    buffers = [(module, name) for _, module in model.named_modules() for name in buffers_of(module)]
    an_epoch, at, saved, coming = math.ceil(len(x) / batch_size), Progress(), None, None
    steps, rates = epochs * an_epoch, [group["lr"] for group in optimizer.param_groups]
    if checkpoint is not None:
        settings = {"x": fingerprint(x), "y": fingerprint(y), "epochs": str(epochs),
                    "batch_size": str(batch_size), "schedule": sampled(schedule),
                    **described(clip_norm=clip_norm, augment=augment, loss=loss, penalty=penalty)}
        saved = Checkpoint(checkpoint, model, optimizer, rng, settings, average, an_epoch)
        at = saved.resume() or saved.write(at)
    objective = Objective(model, loss, penalty, counts=loss is None or y.dtype.kind in "iu")

    def set_rates(factor):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor

    def train():
        nonlocal coming
        quiet = np.errstate(over="ignore", invalid="ignore")  # a loss that is not finite stops the training
        with _bar(progress, steps, at.step) as bar, quiet:
            while len(at.log) < epochs:
                coming = _rest_of_epoch(x, y, batch_size, rng, at, augment, loss is None)
                if prefetch:
                    coming = data.prefetch(coming, prefetch)
                for inputs, targets, rows in coming:
                    if schedule is not None:
                        set_rates(schedule(at.step / steps))
                    optimizer.zero_grad()
                    total, value, right = _forward(objective, buffers, (inputs, targets, rows), at.step + 1)
                    total.backward()
                    if clip_norm is not None:
                        clip_grad_norm_(optimizer.params, clip_norm)
                    optimizer.step()
                    if average is not None:
                        average.update_parameters()
                    at.step += 1
                    at.loss += value * len(inputs)  # weighted: the last batch may be shorter
                    at.correct = None if None in (at.correct, right) else at.correct + float(right)
                    if on_step is not None:
                        on_step(at.step, value)
                    bar.update()
                    if saved is not None and (at.step % every == 0 or at.step == steps):
                        saved.write(at)
                epoch = Epoch(at.loss / len(x), None if at.correct is None else at.correct / len(x))
                at.log.append(epoch)
                at.loss = at.correct = 0.0
                told = {} if epoch.accuracy is None else {"accuracy": f"{epoch.accuracy:.2%}"}
                bar.set_postfix(loss=f"{epoch.loss:.4f}", **told, refresh=False)

    def end():
        if coming is not None:
            coming.close()
        set_rates(1)

    in_mode(model, True, undoing, end, train)
    return [Epoch(*means) for means in at.log]


def _rest_of_epoch(x, y, size, rng, at, augment=None, classes=True):
    """The batches that are left of this epoch, in the order in which it was shuffled, each with the numbers
    of its rows. Each is augmented with its own Generator, so that a prefetching thread, or a run that resumes
    here, makes the same batch."""
    done = at.step - len(at.log) * math.ceil(len(x) / size)
    now = rng.bit_generator.state
    if not done:  # else the run was killed within the epoch, and shuffles again as it did
        at.shuffled_from = now
    rng.bit_generator.state = at.shuffled_from
    every = rows_of_batches(len(x), size, rng)
    key = None if augment is None else int(rng.integers(1 << 63))
    if done:
        rng.bit_generator.state = now
    return ((x[rows], y[rows], rows) if augment is None else
            (*_augmented(augment, x[rows], y[rows], [key, i], classes), None)
            for i, rows in islice(enumerate(every), done, None))


def _augmented(augment, inputs, targets, seed, classes):
    x, y = changed("fit", "augment", augment, inputs, targets, np.random.default_rng(seed))
    fits = not classes or (y.ndim == 1 if y.dtype.kind in "iu" else y.ndim == 2 and y.dtype.kind == "f")
    if x.dtype.kind != "f" or x.ndim < 2 or not y.ndim or not fits or not len(x) == len(y) == len(inputs):
        wanted = "classes or rows of probabilities" if classes else "targets"
        raise ValueError(f"fit: augment must return x ({len(inputs)}, …) of floats and as many {wanted} y, "
                         f"got {x.dtype} {x.shape} and {y.dtype} {y.shape}")
    return x, y


def accuracy(model: Callable[[Any], Any], x: np.ndarray, y: np.ndarray, *, batch_size: int = 256,
             k: int = 1) -> float:
    """The fraction (0..1) of the rows of x (N, …) whose class y (N,) has one of the k largest outputs.

    k=1: the largest, the usual accuracy; k=5: the top-5 accuracy of ImageNet. Of equal outputs those of the
    lower classes come first. `model` is a Module (measured in evaluation mode, without a graph; its mode is
    restored) or anything that maps an array (N, …) to an array (N, classes), `batch_size` rows at a time.
    Raises: TypeError or ValueError for data that can't be measured on, and for a k that is not 1 … classes.
    """
    _check(model, x, y)
    count("accuracy", "k", k)

    def right():
        correct = 0
        with no_grad():
            for inputs, classes in batches(x, y, batch_size, np.random.default_rng(0), shuffle=False):
                out = model(Tensor(inputs) if isinstance(model, Module) else inputs)
                out = np.asarray(out.data if isinstance(out, Tensor) else out)
                if out.ndim != 2 or len(out) != len(inputs):
                    raise ValueError(f"the model must give ({len(inputs)}, classes), got {out.shape}")
                if k > out.shape[1]:
                    raise ValueError(f"accuracy: k is {k}, but the model has {out.shape[1]} outputs")
                best = out.argmax(axis=1, keepdims=True) if k == 1 else Tensor(out).topk(k, 1).indices.data
                correct += np.count_nonzero(best == classes[:, None])
        return correct

    return in_mode(model, False, right) / len(x)


def _check(model, x, y, classes=True):
    if not callable(model):
        raise TypeError(f"model must be a Module or a callable, got {type(model).__name__}")
    *targets, rows = ("iu", "integer classes", "(N,)") if classes else ("fiub", "numbers", "(N, …)")
    for name, array, kinds, wanted in (("x", x, "fiu", "numbers"), ("y", y, *targets)):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
            got = getattr(array, "dtype", type(array).__name__)
            raise TypeError(f"{name} must be an array of {wanted}, got {got}")
    if x.ndim < 2 or not (y.ndim == 1 if classes else y.ndim) or len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x must be (N, …) and y {rows} with the same N > 0, got {x.shape} and {y.shape}")
    for name, array in (("x", x), ("y", y)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has NaN or infinity in row {np.argwhere(~np.isfinite(array))[0, 0]}")
    if classes and y.min() < 0:
        raise ValueError(f"y has the class {y.min()}; classes count from 0")


def _forward(objective, buffers, batch, step):
    """The loss of a batch, its value, and how many rows are right; an error changes nothing."""
    model, arrays = objective.model, [getattr(module, name, None) for module, name in buffers]
    before = [copy.copy(array) for array in arrays]
    parametrization = {} if model.parametrization is None else dict(vars(model.parametrization))
    try:
        try:
            loss, right = objective(*batch)
        except Diverged as error:  # from the model's parametrization
            why = f"fit: at step {step}: {error}; try a smaller learning rate"
            raise Diverged(why, error.layer) from error
        value = loss.item()
        if not math.isfinite(value):
            raise _diverged(model, batch[0], value, step)
    except Exception:
        # Batch norm has averaged the batch into its buffers, and a forward may have replaced some.
        for (module, name), array, was in zip(buffers, arrays, before, strict=True):
            if array is not None:
                array[...] = was
            setattr(module, name, array)
        if parametrization:  # it may have averages, too
            vars(model.parametrization).update(parametrization)
        raise
    return loss, value, right


def _diverged(model, inputs, loss, step):
    """Run the batch through a copy whose modules are watched, and name the first that fails."""
    first = []

    def watched(path, forward, *args, **kwargs):
        out = forward(*args, **kwargs)
        if not all(np.isfinite(t.data).all() for t in leaves(out) if isinstance(t, Tensor)):
            first.append(path)
        return out

    twin = copy.deepcopy(model)
    twin.parametrization = None  # it would compute in place of forward
    for path, module in list(twin.named_modules()):
        module.forward = partial(watched, path, module.forward)
    with no_grad(), np.errstate(all="ignore"):
        twin(Tensor(inputs))
    layer = first[0] if first else None
    where = ("every module's output is finite" if layer is None else
             f"the first layer whose output is not finite is {layer or type(model).__name__!r}")
    return Diverged(f"fit: the loss is {loss} at step {step}: {where}; try a smaller learning rate", layer)


def _bar(progress, total, done):
    from tqdm import tqdm

    return tqdm(total=total, initial=done, desc=progress if isinstance(progress, str) else None, leave=False,
                unit="step", disable=None if progress is None else progress is False)  # None: on no terminal
