"""digits_cnn trained on few labels: what is made of the images that have none.

All ways end with as many steps on the labelled images, at equal rates; the number of steps does not depend on
the number of labels, until all images are seen ten times. Labels are drawn for each seed, of every class as
many."""

import copy
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np

import compress
import nn
from nn.data.augment import Compose, Mixup, Noise, Rotate, Shift
from nn.data.minibatches import Augmentation
from nn.pretraining import Contrastive, Masks, Reconstruction, Views, contrastive_loss, reconstruction_loss

from .experiment import Budget, Data, Tick

LABELS = (10, 20, 50, 100, None)  # None: all
NOTHING, AUGMENTED, MIXED = "nothing", "augmentation", "mixup"
CONTRASTED, MASKED, DISTILLED = "contrastive", "masked", "distilled"
METHODS = (NOTHING, AUGMENTED, MIXED, CONTRASTED, MASKED, DISTILLED)
CHANGE = Compose((Shift(1), Rotate(15)))  # what leaves a digit of 8×8 pixels what it is
STRONGER = Compose((Shift(1), Rotate(25), Noise(0.1)))  # views are to be hard to match
TEMPERATURE, BATCH = 0.5, 256
DECAY, LEAST = 1e-2, 10  # weight decay of supervised training; how often all images are seen at least


@dataclass(frozen=True)
class Labelling:
    """How a network is trained, one of METHODS, and by how many labels."""

    method: str
    labels: int | None


@dataclass(frozen=True)
class Accuracy:
    """On the test images."""

    test: float


@dataclass(frozen=True)
class Lengths:
    """Steps on the labelled images, and epochs on all of them: contrastive, masked, distilled."""

    steps: int
    contrastive: int
    masked: int
    distilled: int

    @classmethod
    def of(cls, budget: Budget) -> "Lengths":
        """200 and 40, 20, 10 of the full budget of the main job."""
        return cls(20 * budget.tune, 4 * budget.tune, 2 * budget.tune, budget.tune)


def measured(data: Data, budget: Budget, seed: int, labelling: Labelling, tick: Tick) -> Accuracy:
    """The accuracy of one method with so many labels. Runs in a worker, and is determined by its arguments.
    """
    images, lengths = data.load(), Lengths.of(budget)
    rows = labelled(images.y_train, labelling.labels, seed)
    augment = {NOTHING: None, MIXED: Mixup(10)}.get(labelling.method, CHANGE)
    model = copy.deepcopy(pretrained(data, budget, seed, labelling.method))
    _fit(model, images.x_train[rows], images.y_train[rows], lengths.steps, budget, seed, augment)
    if labelling.method == DISTILLED:
        model = _distilled(model, images, lengths.distilled, budget, seed)
    tick(1)
    return Accuracy(nn.train.accuracy(model, images.x_test, images.y_test))


def labelled(classes: np.ndarray, labels: int | None, seed: int) -> np.ndarray:
    """Which images have labels: of each class as many, as far as there are so many of it; None: all."""
    if labels is None:
        return np.arange(len(classes))
    rng, every = np.random.default_rng([seed, labels]), np.unique(classes)
    of_each = (np.flatnonzero(classes == one) for one in every)
    return np.concatenate([rng.permutation(rows)[:labels // len(every)] for rows in of_each])


@lru_cache(maxsize=4)
def pretrained(data: Data, budget: Budget, seed: int, method: str) -> nn.Module:
    """The network before it has seen a label. Kept in a worker: it is that of every number of labels."""
    images, lengths = data.load(), Lengths.of(budget)
    side = images.x_train.shape[-1]
    model = nn.models.digits_cnn(rng=np.random.default_rng(seed), size=side)
    width, rng = model.fc.weight.shape[1], np.random.default_rng([seed, 1])
    if method == CONTRASTED:
        joined, loss = Contrastive(model, width, rng=rng), contrastive_loss(TEMPERATURE)
        how = {"epochs": lengths.contrastive, "augment": Views(STRONGER)}
        how["batch_size"] = BATCH - (len(images.x_train) % BATCH == 1)  # no batch of one
    elif method == MASKED:
        joined, loss = Reconstruction(model, width, images.x_train.shape[1:], rng=rng), reconstruction_loss
        patch = next(size for size in range(side // 4, 0, -1) if side % size == 0)
        how = {"epochs": lengths.masked, "augment": Masks(patch), "batch_size": budget.batch}
    else:
        return model
    nn.train.fit(joined, images.x_train, images.y_train, loss=loss, rng=np.random.default_rng(seed),
                 optimizer=nn.optim.Adam(joined.parameters(), lr=budget.tune_rate),
                 schedule=nn.train.cosine, progress=False, **how)
    return model


def _fit(model: nn.Module, x: np.ndarray, y: np.ndarray, steps: int, budget: Budget, seed: int,
         augment: Augmentation | None) -> None:
    """Train on the labelled images; y: their classes, or probabilities."""
    batch = min(budget.batch, len(x))
    nn.train.fit(model, x, y, epochs=max(ceil(steps / ceil(len(x) / batch)), LEAST), batch_size=batch,
                 loss=None if y.ndim == 1 else nn.functional.cross_entropy, augment=augment,
                 optimizer=nn.optim.Adam(model.parameters(), lr=budget.tune_rate, weight_decay=DECAY),
                 schedule=nn.train.cosine, rng=np.random.default_rng(seed), progress=False)


def _distilled(teacher: nn.Module, images: nn.data.Digits, epochs: int, budget: Budget,
               seed: int) -> nn.Module:
    """A new network taught by the other's soft targets of every image (Hinton et al. 2015)."""
    logits = compress.convert(teacher, images.x_train[:512])(images.x_train)
    soft = nn.functional.softmax(nn.Tensor(logits), 1).data
    model = nn.models.digits_cnn(rng=np.random.default_rng([seed, 2]), size=images.x_train.shape[-1])
    steps = epochs * ceil(len(soft) / budget.batch)
    _fit(model, images.x_train, soft, steps, budget, seed, CHANGE)
    return model
