"""Ways of distillation with one planted mistake each, and the law that must find it."""

import numpy as np

from nn import distill
from nn import functional as F
from nn.distill import Smallest, soft_loss, soft_targets, teacher
from nn.objective import loss_of_batch
from nn.tensor import Tensor
from tests.nn import distill_laws as laws
from tests.nn.distill_laws import Way

MUTANTS = []  # (law, Way, its name)


def killed_by(law, part):
    """Plant the decorated function or class, in the place of this part of a Way, for this law to find."""

    def plant(mutant):
        MUTANTS.append((law, Way(**{part: mutant}), mutant.__name__))
        return mutant

    return plant


def divergence(z, p, t, reduction="batchmean"):
    return F.kl_div(F.log_softmax(z / t, 1), p, reduction)


@killed_by(laws.scales_with_the_temperature, "soft_loss")
def without_the_square(z, p, t):
    return divergence(z, p, t)


@killed_by(laws.gradient_becomes_the_difference, "soft_loss")
def times_the_temperature_once(z, p, t):
    return t * divergence(z, p, t)


@killed_by(laws.counts_each_example_alike, "soft_loss")
def sum_over_the_batch(z, p, t):
    return t**2 * divergence(z, p, t, "sum")


@killed_by(laws.is_the_divergence, "soft_loss")
def mean_over_all_entries(z, p, t):
    """What "mean" is to PyTorch's KLDivLoss."""
    return t**2 * divergence(z, p, t, "mean")


@killed_by(laws.scales_with_the_temperature, "soft_loss")
def student_is_not_softened(z, p, t):
    return t**2 * divergence(z, p, 1)


@killed_by(laws.is_least_where_they_agree, "soft_loss")
def the_other_way_round(z, p, t):
    """Cross-entropy of the teacher under the student."""
    return t**2 * -(Tensor(p).log() * F.softmax(z / t, 1)).sum() / len(p)


@killed_by(laws.is_the_divergence, "soft_loss")
def squares_of_probabilities(z, p, t):
    return t**2 * ((F.softmax(z / t, 1) - p) ** 2).sum() / len(p)


@killed_by(laws.does_not_see_a_constant, "soft_loss")
def squares_of_logits(z, p, t):
    """The limit, at every temperature."""
    v = t * (np.log(p) - np.log(p).mean(1, keepdims=True))
    return ((z - v) ** 2).sum() / (2 * z.size)


@killed_by(laws.does_not_see_a_constant, "soft_targets")
def exponentials_overflow(v, t):
    powers = np.exp(v / min(t, 0.5))
    return powers / powers.sum(-1, keepdims=True)


@killed_by(laws.scales_with_the_temperature, "soft_targets")
def teacher_is_not_softened(v, t):
    return soft_targets(v, 1.0)


@killed_by(laws.several_teachers_are_their_mean, "soft_targets")
def mean_of_logits(v, t):
    return soft_targets(np.mean(v, 0) if isinstance(v, list) else v, t)


@killed_by(laws.several_teachers_are_their_mean, "soft_targets")
def first_teacher_only(v, t):
    return soft_targets(v[0] if isinstance(v, list) else v, t)


@killed_by(laws.several_teachers_are_their_mean, "soft_targets")
def sum_over_teachers(v, t):
    return soft_targets(v, t) * (len(v) if isinstance(v, list) else 1)


@killed_by(laws.tokens_are_examples, "soft_targets")
def over_the_tokens(v, t):
    """A softmax over axis 1, which of logits (N, T, C) is that of the tokens."""
    return F.softmax(Tensor(v / t), 1).data


@killed_by(laws.tokens_are_examples, "soft_loss")
def mean_over_windows_of_sums(z, p, t):
    return t**2 * F.kl_div(F.log_softmax(z / t), p, "batchmean")


class AsksAs(distill.Distillation):
    """Asks the teacher by itself, as `said` says."""

    def __call__(self, model, inputs, targets, rows):
        outputs, hard = loss_of_batch(None, model, inputs, targets)
        p = F.softmax(self.said(inputs) / self.temperature, 1)
        log_q = F.log_softmax(outputs / self.temperature, 1)
        soft = (p * (p.log() - log_q)).sum() / len(inputs)
        return outputs, (1 - self.soft) * hard + self.soft * self.temperature**2 * soft


@killed_by(laws.leaves_the_teacher_alone, "Distillation")
class TeacherInTrainingMode(AsksAs):
    def said(self, inputs):
        return self.teachers.each[0](Tensor(inputs)).detach()


@killed_by(laws.leaves_the_teacher_alone, "Distillation")
class TeacherIsLeftInEvaluation(AsksAs):
    def said(self, inputs):
        return self.teachers.each[0].eval()(Tensor(inputs)).detach()


@killed_by(laws.leaves_the_teacher_alone, "Distillation")
class GradientReachesTheTeacher(AsksAs):
    def said(self, inputs):
        asked = self.teachers.each[0].eval()(Tensor(inputs))
        self.teachers.each[0].train()
        return asked


@killed_by(laws.mixes_by_the_part, "Distillation")
class LabelsInFull(distill.Distillation):
    """The soft loss is added to all of the hard one."""

    def __call__(self, model, inputs, targets, rows):
        outputs, soft = distill.Distillation.__call__(self, model, inputs, targets, rows)
        if self.soft < 1:
            soft = soft + self.soft * F.cross_entropy(outputs, targets)
        return outputs, soft


@killed_by(laws.mixes_by_the_part, "Distillation")
class PartsExchanged(distill.Distillation):
    def __init__(self, teacher, *, temperature=4.0, soft=0.9):
        super().__init__(teacher, temperature=temperature, soft=1 - soft)


@killed_by(laws.mixes_by_the_part, "Distillation")
class LooksAtLabelsAllTheSame(distill.Distillation):
    def __call__(self, model, inputs, targets, rows):
        outputs, loss = super().__call__(model, inputs, targets, rows)
        return outputs, loss + 0 * F.cross_entropy(outputs, targets.clip(0)) + float(targets[0] == -7)


@killed_by(laws.trains_token_by_token, "Distillation")
class LabelsOfTheLastToken(distill.Distillation):
    """As a classifier of whole windows is trained."""

    def __call__(self, model, inputs, targets, rows):
        outputs, loss = super().__call__(model, inputs, targets, rows)
        if outputs.ndim == 3 and self.soft < 1:
            each = F.cross_entropy(outputs[:, -1], targets[:, -1]) - F.cross_entropy(
                outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1))
            loss = loss + (1 - self.soft) * each
        return outputs, loss


@killed_by(laws.trains_token_by_token, "Distillation")
class SoftPartOfWindows(distill.Distillation):
    """The soft part is summed over the tokens of a window, the hard one is a mean."""

    def __call__(self, model, inputs, targets, rows):
        outputs, loss = super().__call__(model, inputs, targets, rows)
        if outputs.ndim == 3:
            p = soft_targets(self.teachers.logits(inputs, rows), self.temperature)
            loss = loss + self.soft * (outputs.shape[1] - 1) * soft_loss(outputs, p, self.temperature)
        return outputs, loss


@killed_by(laws.recorded_is_asked, "Distillation")
class RowsInTheOrderOfTheFile(distill.Distillation):
    """What was recorded is not shuffled with the examples."""

    def __call__(self, model, inputs, targets, rows):
        return super().__call__(model, inputs, targets, np.arange(len(inputs)))


class RecordsOneTeacher(teacher.Teachers):
    def logits(self, inputs, rows):
        said = super().logits(inputs, rows)
        return [2 * said[0]] if self.recorded else said


@killed_by(laws.recorded_is_asked, "Distillation")
class LogitsOfSeveralAreAdded(distill.Distillation):
    def __init__(self, teacher, **how):
        super().__init__(teacher, **how)
        self.teachers = RecordsOneTeacher("Distillation", teacher)


@killed_by(laws.hints_are_squares, "Hints")
class ForgetsTheWeight(distill.Hints):
    def __init__(self, *args, weight=1.0, **how):
        super().__init__(*args, **how)


@killed_by(laws.hints_are_squares, "Hints")
class FirstLevelOnly(distill.Hints):
    def __init__(self, student, teacher, layers, *args, **how):
        super().__init__(student, teacher, dict([next(iter(layers.items()))]), *args, **how)
        self.regressors.setdefault("2", None)


@killed_by(laws.hints_teach_the_layers_below, "Hints")
class RegressorIsNotTrained(distill.Hints):
    def parameters(self):
        return iter(())


@killed_by(laws.hints_teach_the_layers_below, "Hints")
class AddsTheLabels(distill.Hints):
    """In the first stage, too, in which hints are alone."""

    def __call__(self, model, inputs, targets, rows):
        outputs, loss = super().__call__(model, inputs, targets, rows)
        return outputs, loss + F.cross_entropy(outputs, targets)


@killed_by(laws.smallest_is_the_first_that_is_enough, "smallest")
def tries_them_all(accuracy, widths, wanted):
    tried = {width: accuracy(width) for width in widths}
    return Smallest(min(width for width, one in tried.items() if one >= wanted), tried)


@killed_by(laws.smallest_is_the_first_that_is_enough, "smallest")
def more_than_wanted(accuracy, widths, wanted):
    try:
        return distill.smallest(accuracy, widths, wanted + 1e-9)
    except ValueError:
        return Smallest(widths[-1], {})


@killed_by(laws.smallest_is_the_first_that_is_enough, "smallest")
def trains_twice(accuracy, widths, wanted):
    found = distill.smallest(accuracy, widths, wanted)
    accuracy(found.width)
    return found


@killed_by(laws.so_many_labels_are_wrong, "wrong_labels")
def may_draw_the_right_class(y, share, classes, rng):
    rows = rng.choice(len(y), round(share * len(y)), replace=False)
    changed = y.copy()
    changed[rows] = rng.integers(0, classes, len(rows))
    return changed


@killed_by(laws.so_many_labels_are_wrong, "wrong_labels")
def the_next_class(y, share, classes, rng):
    rows = rng.choice(len(y), round(share * len(y)), replace=False)
    changed = y.copy()
    changed[rows] = (y[rows] + 1) % classes
    return changed


@killed_by(laws.so_many_labels_are_wrong, "wrong_labels")
def in_place(y, share, classes, rng):
    y[:] = distill.wrong_labels(y, share, classes, rng)
    return y


@killed_by(laws.is_least_where_they_agree, "soft_loss")
def teacher_at_another_temperature(z, p, t):
    return soft_loss(z, soft_targets(np.log(p), 2.0), t)
