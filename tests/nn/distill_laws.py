"""What distillation must satisfy: laws of an implementation, a Way, which the mutants of mutants_distill are
planted in."""

from dataclasses import dataclass, field

import numpy as np

import nn
from nn import distill
from nn import functional as F
from nn.distill import soft_loss, soft_targets

U = np.finfo(np.float64).eps / 2
CLASSES = 5


@dataclass
class Way:
    """How soft targets, their loss, and the losses of a training are computed."""

    soft_targets: object = soft_targets
    soft_loss: object = soft_loss
    Distillation: type = distill.Distillation
    Hints: type = distill.Hints
    smallest: object = distill.smallest
    wrong_labels: object = distill.wrong_labels

    def loss(self, z, v, temperature):
        """Of logits of a student and of a teacher, in float64, and its gradient by the student's."""
        z = nn.Tensor(z.astype(np.float64), requires_grad=True)
        loss = self.soft_loss(z, self.soft_targets(v.astype(np.float64), temperature), temperature)
        loss.backward()
        return loss.item(), z.grad


@dataclass
class Case:
    """Logits of a student (N, C) and of two teachers (2, N, C), a temperature, and where else it begins."""

    z: np.ndarray
    v: np.ndarray
    temperature: float
    seed: int = 0
    rng: np.random.Generator = field(init=False)

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)


def near(found, wanted, what, tolerance=1e-9):
    """Equal to float64's rounding, which sums of a few numbers below a thousand keep far below 1e-9."""
    worst = np.abs(np.asarray(found) - wanted).max()
    assert worst <= tolerance * (1 + np.abs(wanted).max()), f"{what}: {found}, wanted {wanted}"


# Of soft targets and their loss


def is_the_divergence(way, case):
    """T²·Σ p (log p − log q), the mean over examples, written out."""
    z, v, t = case.z, case.v[0], case.temperature
    loss, _ = way.loss(z, v, t)
    log_p, log_q = (x / t - np.log(np.exp(x / t).sum(1, keepdims=True)) for x in (v, z))
    near(loss, t * t * (np.exp(log_p) * (log_p - log_q)).sum(1).mean(), "the loss")


def scales_with_the_temperature(way, case):
    """In units of T: T²·loss(z, v; 1) is the loss of T·z and T·v at T, and its gradient T times as large."""
    z, v, t = case.z, case.v[0], case.temperature
    one, gradient = way.loss(z, v, 1.0)
    scaled, its_gradient = way.loss(t * z, t * v, t)
    near(scaled, t * t * one, "the loss")
    near(its_gradient, t * gradient, "the gradient")


def gradient_becomes_the_difference(way, case):
    """(z − v)/(N·C) as T → ∞, for logits of mean 0 (Hinton et al. 2015, eq. 4).

    With a = max |logit|/T <= 1 is |e^x − 1 − x| <= x², so Σe^x is between C and C(1 + a²), and softmax less
    (1 + x)/C at most 3a²/C for either; T/N times their difference, (q − p)·T/N, is off by 6·T·a²/(N·C). The
    rounding of p and q, (C + 8) times u of about 1/C each, is multiplied by T, too."""
    z, v = (x - x.mean(1, keepdims=True) for x in (case.z, case.v[0]))
    n, c = z.shape
    largest = max(np.abs(z).max(), np.abs(v).max(), 1.0)
    for t in (1e2 * largest, 1e4 * largest):
        _, gradient = way.loss(z, v, t)
        bound = (6 * largest**2 / t + 4 * t * (c + 8) * U) / (n * c)
        worst = np.abs(gradient - (z - v) / (n * c)).max()
        assert worst <= bound, f"at T = {t:g} the gradient is off by {worst:.3g}, and {bound:.3g} is allowed"


def is_least_where_they_agree(way, case):
    """No loss and no gradient where the student says what the teacher does, and more elsewhere."""
    loss, gradient = way.loss(case.v[0], case.v[0], case.temperature)
    near(loss, 0.0, "the loss of equals")
    near(gradient, np.zeros_like(gradient), "its gradient")
    other, _ = way.loss(case.z, case.v[0], case.temperature)
    assert other >= -1e-9, f"the loss is {other}"


def does_not_see_a_constant(way, case):
    """Logits of a row that all grow by a number, however large, mean the same."""
    moved = 700 * np.sign(case.rng.normal(size=(len(case.z), 1)))
    loss, _ = way.loss(case.z, case.v[0], case.temperature)
    for z, v in ((case.z + moved, case.v[0]), (case.z, case.v[0] + moved)):
        near(way.loss(z, v, case.temperature)[0], loss, "the loss", 1e-8)


def counts_each_example_alike(way, case):
    """Examples that come twice change nothing: the loss is a mean over them."""
    loss, _ = way.loss(case.z, case.v[0], case.temperature)
    twice, _ = way.loss(np.repeat(case.z, 2, 0), np.repeat(case.v[0], 2, 0), case.temperature)
    near(twice, loss, "the loss of all examples twice")


def several_teachers_are_their_mean(way, case):
    """The mean of their distributions at T, in any order; of one, its own."""
    t, v = case.temperature, case.v.astype(np.float64)
    p = way.soft_targets(list(v), t)
    near(p, (way.soft_targets(v[0], t) + way.soft_targets(v[1], t)) / 2, "targets of two teachers")
    near(way.soft_targets(list(v[::-1]), t), p, "the same in another order")
    near(way.soft_targets([v[0]], t), way.soft_targets(v[0], t), "targets of one")
    near(p.sum(1), np.ones(len(p)), "their sum")


def tokens_are_examples(way, case):
    """Of logits (N, T, C) targets, loss and gradient are those of N·T examples: means over all tokens."""
    z, v = case.rng.uniform(-6, 6, (2, len(case.z), 3, CLASSES))
    of_tokens = way.soft_targets(v, case.temperature), *way.loss(z, v, case.temperature)
    z, v = (x.reshape(-1, CLASSES) for x in (z, v))
    of_examples = way.soft_targets(v, case.temperature), *way.loss(z, v, case.temperature)
    for what, found, wanted in zip(("targets", "loss", "gradient"), of_tokens, of_examples, strict=True):
        near(np.reshape(found, wanted.shape if what != "loss" else ()), wanted, f"the {what} of tokens")


# Of the losses of a training


def pair(case):
    """A teacher with dropout and batch norm, a student, and examples with classes."""
    rng = case.rng
    teacher = nn.Sequential(nn.Linear(4, 6, rng=rng), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5),
                            nn.Linear(6, CLASSES, rng=rng))
    student = nn.Sequential(nn.Linear(4, 3, rng=rng), nn.ReLU(), nn.Linear(3, CLASSES, rng=rng))
    x, y = rng.normal(size=(8, 4)).astype(np.float32), rng.integers(0, CLASSES, 8)
    return teacher, student, x, y


def leaves_the_teacher_alone(way, case):
    """It is asked in evaluation mode and has its mode back; no gradient reaches it, and no statistics."""
    teacher, student, x, y = pair(case)
    before, rows = teacher.state_dict(), np.arange(8)
    hints = way.Hints(student, teacher, {"0": "1"}, x[:1], loss=way.Distillation(teacher), rng=case.rng)
    for loss in (way.Distillation(teacher), hints):
        values = []
        for _ in range(2):
            outputs, value = loss(student, x, y, rows)
            value.backward()
            values.append(value.item())
        assert values[0] == values[1], f"the same batch has the losses {values}: dropout is at work"
    assert all(module.training for module in teacher.modules()), "the teacher has lost its mode"
    assert all(p.grad is None for p in teacher.parameters()), "a gradient reaches the teacher"
    after = teacher.state_dict()
    assert all((after[name] == before[name]).all() for name in before), "the teacher has changed"
    assert outputs.shape == (8, CLASSES)


def mixes_by_the_part(way, case):
    """soft = 0: cross-entropy; soft = 1: labels are not looked at; between them, both in their parts."""
    teacher, student, x, y = pair(case)
    rows, t = np.arange(8), case.temperature

    def loss(soft, y=y):
        return way.Distillation(teacher, temperature=t, soft=soft)(student, x, y, rows)[1].item()

    near(loss(0), F.cross_entropy(student(nn.Tensor(x)), y).item(), "labels alone", 1e-5)
    near(loss(1, np.full(8, -7)), loss(1), "the teacher alone", 1e-5)
    near(loss(0.3), 0.3 * loss(1) + 0.7 * loss(0), "a mixture", 1e-5)


def trains_token_by_token(way, case):
    """Windows (4, 3) of tokens with a label each: both parts of the loss are means over the 12 tokens."""
    student, *teachers = (nn.Embedding(7, CLASSES, rng=case.rng) for _ in range(3))
    tokens, y = case.rng.integers(0, 7, (4, 3)), case.rng.integers(0, CLASSES, (4, 3))
    for soft in (0, 0.3, 1):
        loss = way.Distillation(teachers, temperature=case.temperature, soft=soft)
        outputs, found = loss(student, tokens, y, None)
        assert outputs.shape == (4, 3, CLASSES)
        one_by_one = loss(student, tokens.ravel(), y.ravel(), None)[1].item()
        near(found.item(), one_by_one, f"the loss of windows, {soft} of it soft,", 1e-5)


def recorded_is_asked(way, case):
    """What the teacher was recorded to say meets the right rows, in any order: the same as asking it now."""
    teacher, student, x, y = pair(case)
    said = distill.record([teacher, teacher], x)
    rows = case.rng.permutation(8)[:5]
    found = [way.Distillation(one)(student, x[rows], y[rows], rows)[1].item()
             for one in ([teacher, teacher], said)]
    near(found[1], found[0], "of recorded logits", 1e-6)


def hints_are_squares(way, case):
    """weight·Σ mean (r(u) − v)² over the pairs; v is the teacher's in evaluation mode, r the regressor."""
    teacher, student, x, y = pair(case)
    hints = way.Hints(student, teacher, {"0": "1", "2": "4"}, x[:2], weight=0.5, rng=case.rng)
    value = hints(student, x, y, None)[1].item()
    u = student[0](nn.Tensor(x))
    v = teacher.eval()[1](teacher[0](nn.Tensor(x))).data
    middle = ((hints.regressors["0"](u).data - v) ** 2).mean()
    last = ((student(nn.Tensor(x)).data - teacher(nn.Tensor(x)).data) ** 2).mean()
    near(value, 0.5 * (middle + last), "the loss", 1e-5)
    assert hints.regressors["2"] is None, "equal shapes need no regressor"


def hints_teach_the_layers_below(way, case):
    """The regressor and what is below the layer get a gradient, what is above it none."""
    teacher, student, x, y = pair(case)
    hints = way.Hints(student, teacher, {"0": "1"}, x[:1], rng=case.rng)
    hints(student, x, y, None)[1].backward()
    has = {name: p.grad is not None and bool(np.any(p.grad)) for name, p in student.named_parameters()}
    assert has == {"0.weight": True, "0.bias": True, "2.weight": False, "2.bias": False}, has
    assert all(np.any(p.grad) for p in hints.parameters()), "the regressor learns nothing"
    assert len(list(hints.parameters())) == 2, "the optimizer is not told of the regressor"


# Of what is around them


def smallest_is_the_first_that_is_enough(way, case):
    """Of accuracies that rise, by bisection: the first that is enough, of few that are tried, each once."""
    n = int(case.rng.integers(1, 40))
    rising = np.sort(case.rng.integers(0, 8, n)) / 8
    wanted = rising[-1] - case.rng.integers(0, 4) / 8
    asked = []

    def accuracy(width):
        asked.append(width)
        return rising[width - 1]

    found = way.smallest(accuracy, range(1, n + 1), wanted)
    assert found.width == 1 + np.flatnonzero(rising >= wanted)[0], f"{rising} >= {wanted}: {found.width}"
    assert found.tried == {width: rising[width - 1] for width in asked}
    assert len(asked) == len(set(asked)) <= np.ceil(np.log2(n)) + 1, f"{len(asked)} of {n} tried"


def so_many_labels_are_wrong(way, case):
    """Exactly round(share·N), each another class of those there are; the given ones stay as they are."""
    y = case.rng.integers(0, CLASSES, 200)
    before, share = y.copy(), int(case.rng.integers(0, 101)) / 100
    changed = way.wrong_labels(y, share, CLASSES, case.rng)
    assert (y == before).all(), "the given labels are changed"
    assert np.count_nonzero(changed != y) == round(share * 200), "the number of wrong labels"
    assert set(changed) <= set(range(CLASSES)), "a label is no class"
    if share >= 0.5:  # each of four misses a hundred draws with a probability of 3e-13
        assert {int(k) for k in (changed - y) % CLASSES} - {0} == {1, 2, 3, 4}, "not every other class occurs"


LAWS = [is_the_divergence, scales_with_the_temperature, gradient_becomes_the_difference,
        is_least_where_they_agree, does_not_see_a_constant, counts_each_example_alike,
        several_teachers_are_their_mean, tokens_are_examples, leaves_the_teacher_alone, mixes_by_the_part,
        trains_token_by_token, recorded_is_asked, hints_are_squares, hints_teach_the_layers_below,
        smallest_is_the_first_that_is_enough, so_many_labels_are_wrong]
