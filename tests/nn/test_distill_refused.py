"""Distillation: what is refused, and what is not for being extreme."""

import numpy as np
import pytest

import nn
from nn import distill
from nn.distill import Distillation, soft_loss, soft_targets
from tests.nn.test_distill import examples, network, rng, run


@pytest.mark.parametrize("temperature", [1e-18, 1e18])
def test_the_least_and_the_greatest_temperature_give_a_loss_that_is_finite(temperature):
    x, y = examples(4)
    _, loss = Distillation(network(), temperature=temperature)(network(3), x, y, None)
    loss.backward()
    assert np.isfinite(loss.item())


def test_a_temperature_is_above_zero():
    for bad in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="temperature must be > 0"):
            soft_targets(np.zeros((1, 2)), bad)
    for bad in (0, -1, float("nan"), float("inf"), 1e-19, 1e19):
        for refused in (lambda t: Distillation(network(), temperature=t),
                        lambda t: soft_loss(nn.zeros(1, 2), np.full((1, 2), 0.5), t)):
            with pytest.raises(ValueError, match=r"temperature must be in \[1e-18, 1e\+18\]"):
                refused(bad)
    for bad in ("4", None, True):
        with pytest.raises(TypeError, match="temperature must be a number"):
            Distillation(network(), temperature=bad)


@pytest.mark.parametrize(("error", "message", "teacher", "how"), [
    (ValueError, r"soft must be in \[0, 1\], got 1.1", network(), {"soft": 1.1}),
    (ValueError, r"soft must be in \[0, 1\], got nan", network(), {"soft": float("nan")}),
    (TypeError, "teacher must be a Module, .* got str", "teacher", {}),
    (TypeError, "teacher must be a Module, .* got none", [], {}),
    (TypeError, "teacher must be a Module, .* got int", [network(), 3], {}),
    (TypeError, "teacher must be a Module, .* got type", nn.layers.Linear, {}),
    (TypeError, "logits must be floats, got int64", np.zeros((4, 3), int), {}),
    (ValueError, r"logits must be \(N, classes\) .* got \(4,\)", np.zeros(4), {}),
    (ValueError, r"logits have NaN or infinity, for example at \(1, 0\)", np.array([[0.0], [np.nan]]), {}),
])
def test_what_is_no_teacher_is_refused(error, message, teacher, how):
    with pytest.raises(error, match=message):
        Distillation(teacher, **how)


@pytest.mark.parametrize("loss", [None, Distillation(network())])
def test_a_student_that_gives_a_tuple_is_named(loss):
    class Two(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(4, 3, rng=rng())

        def forward(self, x):
            return self.fc(x), x

    with pytest.raises(TypeError, match="the model must give logits, a Tensor, got tuple"):
        run(Two(), loss, *examples())


NAN = np.full(3, np.nan, np.float32)


@pytest.mark.parametrize(("message", "teacher"), [
    (r"the student gives \(16, 3\), the teacher \(16, 5\)", network(classes=5)),
    (r"the student gives \(16, 3\), the teacher \(16, 5\)", np.zeros((40, 5))),
    (r"the student gives \(16, 3\), the teacher \(16, 2, 3\)", np.zeros((40, 2, 3))),
    (r"logits of different shapes: \[\(16, 3\), \(16, 4\)\]", [network(), network(classes=4)]),
    (r"logits of different shapes: \[\(16, 3\), \(16, 4\)\]", [network(), np.zeros((40, 4))]),
    ("recorded for 39 examples, and x has 40", np.zeros((39, 3))),
    ("recorded for 41 examples, and x has 40", [network(), np.zeros((41, 3))]),
    (r"give logits \(16, classes\) or \(16, T, classes\), got \(3,\)", lambda x: np.zeros(3)),
    (r"give logits \(16, classes\) or \(16, T, classes\), got list", lambda x: [0, 1]),
    ("the teacher's logits have NaN", lambda x: np.zeros((len(x), 3)) + NAN),
])
def test_what_cannot_teach_this_student_is_refused_before_the_first_step(message, teacher):
    x, y = examples()
    student = network(3)
    before = student.state_dict()
    with pytest.raises(ValueError, match=message):
        run(student, Distillation(teacher), x, y)
    assert all((student.state_dict()[name] == before[name]).all() for name in before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_near_temperature_0_the_largest_logit_has_all(dtype):
    logits = np.array([[1.0, 2.0, -3.0], [5.0, 4.0, 5.0]], dtype)
    with np.errstate(all="raise", under="ignore"):
        p = soft_targets(logits * (np.finfo(dtype).max / dtype(8)), 1e-300)
    assert p.dtype == dtype
    np.testing.assert_array_equal(p, [[0, 1, 0], [0.5, 0, 0.5]])


def test_logits_are_no_soft_targets():
    logits, good = nn.zeros(2, 3), np.full((2, 3), 1 / 3)
    for targets in (np.array([[1.0, 2.0, -2.0], [0, 0, 1]]), 2 * good, good * np.nan, np.ones((2, 3))):
        with pytest.raises(ValueError, match="targets must be probabilities, rows of sum 1"):
            soft_loss(logits, targets)
    for targets in (nn.Tensor(good), good.tolist()):
        with pytest.raises(TypeError, match="soft_loss: targets must be an array of probabilities"):
            soft_loss(logits, targets)
    with pytest.raises(TypeError, match="targets must be an array of probabilities, got <U1"):
        soft_loss(logits, np.full((2, 3), "a"))
    with pytest.raises(TypeError, match="soft_loss: logits must be a Tensor or an array, got int"):
        soft_loss(3, good)
    soft_loss(logits.data, good)
    soft_loss(logits, good.astype(np.float16))
    soft_loss(logits, np.eye(3)[:2])


def test_record_refuses_what_it_cannot_ask():
    x, _ = examples()
    for error, message, teacher, given, size in (
            (TypeError, "got an array", np.zeros((40, 3)), x, 8), (TypeError, "got str", "it", x, 8),
            (ValueError, "x must be an array of N > 0 examples", network(), x[:0], 8),
            (ValueError, "x must be an array", network(), [1.0], 8),
            (ValueError, r"different batches have different shapes: \[\(4,\), \(8,\)\]",
             lambda x: np.eye(len(x)), x[:12], 8),
            (ValueError, "batch_size must be a whole number >= 1", network(), x, 0)):
        with pytest.raises(error, match=message):
            distill.record(teacher, given, batch_size=size)


def test_smallest_says_how_far_the_largest_is_off():
    with pytest.raises(ValueError, match=r"the largest, of width 0\.5, has 0\.9, wanted 0\.95"):
        distill.smallest(lambda width: 0.9, [0.25, 0.5], 0.95)
    with pytest.raises(ValueError, match="widths must rise"):
        distill.smallest(lambda width: 0.9, [0.5, 0.25], 0.5)
    with pytest.raises(ValueError, match="one at least"):
        distill.smallest(lambda width: 0.9, [], 0.5)
    with pytest.raises((TypeError, ValueError), match="wanted must be"):
        distill.smallest(lambda width: 0.9, [0.5], float("nan"))


@pytest.mark.parametrize(("error", "message", "accuracy", "widths"), [
    (TypeError, "smallest: accuracy must be a function of a width, got NoneType", None, [0.5]),
    (TypeError, r"smallest: accuracy\(0\.5\) must be a number, got None", lambda width: None, [0.5]),
    (ValueError, r"smallest: accuracy\(0\.5\) must be .* finite, got nan", lambda width: np.nan, [0.5]),
    (TypeError, "smallest: widths must be a list of widths, got float", lambda width: 0.9, 0.5),
    (TypeError, r"smallest: widths\[1\] must be a number, got 'all'", lambda width: 0.9, [0.5, "all"])])
def test_smallest_names_what_is_no_number(error, message, accuracy, widths):
    with pytest.raises(error, match=message):
        distill.smallest(accuracy, widths, 0.5)


@pytest.mark.parametrize(("error", "message", "arguments"), [
    (ValueError, r"share must be in \[0, 1\]", (np.array([0, 1]), 1.5, 2)),
    (ValueError, "classes must be a whole number >= 2", (np.array([0, 0]), 0.5, 1)),
    (ValueError, r"y must be in 0\.\.1, got 0\.\.2", (np.array([0, 2]), 0.5, 2)),
    (ValueError, "y is uint8, which has no label 256", (np.array([0, 2], np.uint8), 0.5, 257)),
    (TypeError, "y must be integer classes", (np.array([0.0, 1.0]), 0.5, 2)),
])
def test_wrong_labels_are_of_classes(error, message, arguments):
    with pytest.raises(error, match=message):
        distill.wrong_labels(*arguments, rng())
