"""Distillation: a small network, the student, learns from what a larger one, the teacher, gives.

    loss = nn.distill.Distillation(teacher, temperature=4, soft=0.9)
    nn.train.fit(student, x, y, loss=loss, epochs=10, optimizer=optimizer, rng=rng)

The student may be any model: one that `compress.prepare` has pruned or quantized, too."""

from .distillation import Distillation
from .hints import Hints
from .noise import wrong_labels
from .smallest import Smallest, smallest
from .soft import soft_loss, soft_targets
from .teacher import record

__all__ = ("Distillation", "Hints", "Smallest", "record", "smallest", "soft_loss", "soft_targets",
           "wrong_labels")
