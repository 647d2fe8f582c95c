"""Distillation: what PyTorch's composition gives, which rows meet, who may teach; that a run resumes."""

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
