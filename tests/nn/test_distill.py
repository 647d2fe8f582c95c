"""Distillation: what PyTorch's composition gives, which rows meet, what is refused; that a run resumes."""

import copy
from pathlib import Path

import numpy as np
import pytest

import compress
import nn
from nn import distill
from nn.distill import Distillation, soft_loss, soft_targets

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "torch_distillation.npz")


def rng(seed=0):
    return np.random.default_rng(seed)


def examples(n=40):
    y = np.arange(n) % 3
    return rng().normal(0, 0.3, (n, 4)).astype(np.float32) + np.eye(3, 4, dtype=np.float32)[y], y


def network(hidden=6, classes=3, seed=1):
    return nn.Sequential(nn.Linear(4, hidden, rng=rng(seed)), nn.BatchNorm1d(hidden), nn.ReLU(),
                         nn.Dropout(0.3), nn.Linear(hidden, classes, rng=rng(seed)))


def run(model, loss, x, y, **how):
    optimizer = nn.optim.Adam([*model.parameters(), *how.pop("more", ())], lr=0.01)
    return nn.train.fit(model, x, y, epochs=how.pop("epochs", 2), batch_size=16, optimizer=optimizer,
                        loss=loss, rng=rng(2), progress=False, **how)


# What it computes


@pytest.mark.parametrize("i", range(len({name.split(".")[0] for name in GOLDEN})))
def test_it_is_the_composition_of_pytorch(i):
    z, v, y, p, (temperature, soft), loss, gradient = (
        GOLDEN[f"{i}.{name}"] for name in ("z", "v", "y", "p", "settings", "loss", "grad"))
    targets = soft_targets(list(v), temperature)
    np.testing.assert_allclose(targets, p, rtol=1e-12)
    logits = nn.Tensor(z, requires_grad=True)
    mine = soft * soft_loss(logits, targets, temperature)
    mine = mine + (1 - soft) * nn.functional.cross_entropy(logits, y)
    mine.backward()
    np.testing.assert_allclose(mine.item(), loss, rtol=1e-12)
    np.testing.assert_allclose(logits.grad, gradient, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("i", range(8))
def test_a_step_of_fit_has_that_loss(i):
    """The same numbers through fit: the student gives z as its parameters, the teachers v for the rows."""
    z, v, y, (temperature, soft), loss, gradient = (
        GOLDEN[f"{i}.{name}"] for name in ("z", "v", "y", "settings", "loss", "grad"))

    class Table(nn.Module):
        def __init__(self):
            self.logits = nn.layers.linear.Parameter(z.copy())

        def forward(self, x):
            return self.logits[x.data[:, 0].astype(int)]

    model, x = Table(), np.arange(len(z))[:, None].astype(np.float64)
    teaches = Distillation(list(v), temperature=temperature, soft=soft)
    epoch, = nn.train.fit(model, x, y, epochs=1, batch_size=len(z), loss=teaches, rng=rng(),
                          optimizer=nn.optim.SGD(model.parameters(), lr=1.0), progress=False)
    np.testing.assert_allclose(epoch.loss, loss, rtol=1e-12)
    np.testing.assert_allclose(z - model.logits.data, gradient, rtol=1e-9, atol=1e-13)


def test_a_student_comes_to_say_what_its_teacher_does():
    """Without any label: those of a teacher of nonsense are learned as well."""
    x, y = examples(60)
    teacher, student = network(), nn.Linear(4, 3, rng=rng(5))
    teacher = nn.Linear(4, 3, rng=rng(4))
    log = run(student, Distillation(teacher, soft=1), x, -np.ones(60), epochs=60)
    assert log[-1].loss < 1e-3 < log[0].loss
    assert nn.train.accuracy(student, x, teacher(nn.Tensor(x)).data.argmax(1)) == 1
    assert log[0].accuracy is None
    assert y.min() == 0


# Which rows meet


def epochs(x, y, teacher, **how):
    student = network(3, seed=3)
    nn.manual_seed(0)
    return run(student, Distillation(teacher), x, y, **how), student.state_dict()


@pytest.mark.parametrize("several", [False, True])
def test_recorded_and_asked_are_the_same_training(several):
    """Through shuffling, in the background too; to the last bits, since batches of another size may round
    otherwise."""
    x, y = examples()
    teacher = [network(), network(seed=7)] if several else network()
    asked = epochs(x, y, teacher)
    recorded = epochs(x, y, distill.record(teacher, x, batch_size=7), prefetch=2)
    assert [e.accuracy for e in asked[0]] == [e.accuracy for e in recorded[0]]
    for name, value in asked[1].items():
        np.testing.assert_allclose(recorded[1][name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_an_augmented_batch_is_what_the_teacher_is_asked_about():
    x, y = examples()
    seen = []

    def teacher(inputs):
        seen.append(inputs)
        return np.zeros((len(inputs), 3), np.float32)

    def turned(x, y, rng):
        return -x[::-1], y[::-1].copy()

    made = []
    student = network()
    student[0].forward = lambda x, forward=student[0].forward: made.append(x.data) or forward(x)
    run(student, Distillation(teacher), x, y, augment=turned)
    assert len(seen) == len(made) == 6
    assert all(np.array_equal(a, b) for a, b in zip(seen, made, strict=True))
    assert not np.isin(seen[0], x).any()


def test_what_was_recorded_is_not_for_augmented_examples():
    x, y = examples()
    said, student = distill.record(network(), x), network(3)
    before = student.state_dict()
    with pytest.raises(ValueError, match="recorded for x, and augment makes other examples"):
        run(student, Distillation(said), x, y, augment=lambda x, y, rng: (x, y))
    assert all((student.state_dict()[name] == before[name]).all() for name in before)


def test_targets_may_be_probabilities():
    """As mixup makes them."""
    x, y = examples()
    log = run(network(), Distillation(network()), x, y,
              augment=lambda x, y, rng: (x, np.eye(3, dtype=np.float32)[y]))
    assert 0 <= log[-1].accuracy <= 1


# Token by token


def language(width, seed):
    return nn.models.CharTransformer(7, width, 1, 2, 5, rng=rng(seed))


def windows():
    tokens = rng().integers(0, 7, (24, 6))
    return tokens[:, :-1], tokens[:, 1:]


@pytest.mark.parametrize("several", [False, True])
def test_a_language_model_learns_from_another(several):
    """Its teacher asked or recorded; without labels it comes to say what the teacher does."""
    x, y = windows()
    teacher = [language(8, 1), language(8, 3)] if several else language(8, 1)
    states = []
    for one in (teacher, distill.record(teacher, x, batch_size=7)):
        student = language(4, 2)
        log = run(student, Distillation(one), x, y)
        assert log[-1].accuracy is None
        states.append(student.state_dict())
    for name, value in states[0].items():
        np.testing.assert_allclose(states[1][name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    student = language(4, 2)
    log = run(student, Distillation(teacher, soft=1), x, np.zeros(24), epochs=40)
    assert log[-1].loss < 0.2 * log[0].loss


@pytest.mark.parametrize(("message", "y", "soft"), [
    (r"\(N, T, classes\) where y has a class for each of T tokens, got \(16, 5, 7\), and y has \(16,\)",
     np.zeros(24, int), 0.5),
    (r"got \(16, 5, 7\), and y has \(16, 4\)", np.zeros((24, 4), int), 0.0),
    (r"got \(16, 5, 7\), and y has \(16, 5\)", np.zeros((24, 5)), 0.5),
    ("y has the class 7, but the model has 7 outputs", np.full((24, 5), 7), 0.5)])
def test_labels_that_are_not_of_these_tokens_are_refused(message, y, soft):
    x, _ = windows()
    with pytest.raises(ValueError, match=message):
        run(language(4, 2), Distillation(language(8, 1), soft=soft), x, y)


# Every kind of student and teacher


@pytest.mark.parametrize("recipe", [
    [compress.Prune(0.5)], compress.Quantize(weights="int2", activations="uint2"), compress.Cluster(2)])
def test_what_is_compressed_learns_from_what_it_was(recipe):
    digits = nn.data.digits()
    x, y = digits.x_train[:64], digits.y_train[:64]
    model = nn.models.digits_cnn(0.1, rng=rng())
    teacher = copy.deepcopy(model)
    compress.prepare(model, recipe, x)
    log = run(model, Distillation(distill.record(teacher, x)), x, y)
    assert all(np.isfinite(epoch.loss) for epoch in log)
    assert np.isfinite(compress.convert(model, x)(x)).all()


def test_a_program_may_teach():
    digits = nn.data.digits()
    x, y = digits.x_train[:32], digits.y_train[:32]
    teacher = nn.models.digits_mlp(0.1, rng=rng())
    program = compress.convert(teacher, x)
    student = nn.models.digits_mlp(0.05, rng=rng(1))
    losses = [Distillation(one)(student, x, y, None)[1].item() for one in (teacher, program)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


# What is refused


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


# Killed and resumed


class Killed(Exception):
    pass


def test_a_run_that_is_cut_off_resumes_to_the_same_bits(tmp_path):
    x, y = examples()
    teacher = [network(), network(seed=8)]

    def go(path=None, until=None):
        def on_step(step, loss):
            if step == until:
                raise Killed

        nn.manual_seed(1)
        student = network(3, seed=3)
        hints = distill.Hints(student, teacher[0], {"0": "1"}, x[:1], loss=Distillation(teacher), rng=rng(9))
        log = run(student, hints, x, y, more=hints.parameters(), checkpoint=path, every=1, epochs=3,
                  on_step=on_step)
        return log, {**student.state_dict(), **dict(enumerate(p.data for p in hints.parameters()))}

    whole = go()
    with pytest.raises(Killed):
        go(tmp_path / "run", until=5)
    again = go(tmp_path / "run")
    assert again[0] == whole[0]
    assert all(again[1][name].tobytes() == value.tobytes() for name, value in whole[1].items())


@pytest.mark.parametrize("changed", ["teacher", "temperature", "soft"])
def test_a_checkpoint_knows_its_teacher(tmp_path, changed):
    x, y = examples()
    settings = {"teacher": network(), "temperature": 2.0, "soft": 0.5}
    for others, teacher in (({}, settings["teacher"]), ({changed: 1.0}, network(seed=5))):
        how = {**settings, **others, "teacher": teacher if changed == "teacher" else settings["teacher"]}
        loss = Distillation(how.pop("teacher"), **how)
        if others:
            with pytest.raises(ValueError, match="loss was Distillation"):
                run(network(3), loss, x, y, checkpoint=tmp_path / "run")
        else:
            run(network(3), loss, x, y, checkpoint=tmp_path / "run")
