"""Hints: between which shapes a regressor leads, and of which layers the outputs can't be captured."""

import numpy as np
import pytest

import compress
import nn
from nn.context import ambient, within
from nn.distill import Distillation, Hints


def rng(seed=0):
    return np.random.default_rng(seed)


def convolutions(channels, kernel=3, padding=1, seed=0):
    r = rng(seed)
    return nn.Sequential(nn.Conv2d(1, channels, kernel, padding=padding, rng=r), nn.ReLU(), nn.Flatten(),
                         nn.Linear(channels * (9 - kernel + 2 * padding) ** 2, 3, rng=r))


X, Y = rng().random((24, 1, 8, 8), np.float32), np.arange(24) % 3


def train(student, hints, epochs=1, **how):
    parameters = [*student.parameters(), *hints.parameters()]
    return nn.train.fit(student, X, Y, epochs=epochs, batch_size=8, loss=hints, rng=rng(), progress=False,
                        optimizer=nn.optim.Adam(parameters, lr=0.01), **how)


@pytest.mark.parametrize(("kernel", "padding", "window"), [(3, 1, 1), (3, 0, 3), (5, 0, 5)])
def test_a_convolution_leads_to_smaller_images_of_more_channels(kernel, padding, window):
    """Romero et al. (2015), §2.2: a window as large as what is lost."""
    student, teacher = convolutions(2), convolutions(5, kernel, padding, seed=1)
    hints = Hints(student, teacher, {"0": "0"}, X[:1], rng=rng(2))
    assert isinstance(hints.regressors["0"], nn.Conv2d)
    assert hints.regressors["0"].weight.shape == (5, 2, window, window)
    log = train(student, hints, epochs=8)
    assert log[-1].loss < log[0].loss


def test_a_linear_layer_leads_from_features_to_features_also_of_sequences():
    class Sequences(nn.Module):
        def __init__(self, width):
            self.inner, self.outer = nn.Linear(8, width, rng=rng(width)), nn.Linear(width, 3, rng=rng())

        def forward(self, x):
            return self.outer(self.inner(x[:, 0])).mean(1)

    student, teacher = Sequences(2), Sequences(6)
    hints = Hints(student, teacher, {"inner": "inner", "": ""}, X[:2], rng=rng())
    assert hints.regressors["inner"].weight.shape == (6, 2)
    assert hints.regressors[""] is None
    assert train(student, hints)[0].loss > 0


def test_the_teacher_is_asked_once_also_for_what_it_says():
    teacher, student = convolutions(5, seed=1), convolutions(2)
    hints = Hints(student, teacher, {"0": "0", "1": "1"}, X[:1], loss=Distillation(teacher))
    asked = []
    teacher[0].forward = lambda x, forward=teacher[0].forward: asked.append(1) or forward(x)
    train(student, hints)
    assert len(asked) == 3
    another = Hints(student, teacher, {"0": "0"}, X[:1], loss=Distillation(convolutions(3)))
    asked.clear()
    train(student, another)
    assert len(asked) == 3


def test_the_other_loss_is_added():
    teacher, student = convolutions(5, seed=1), convolutions(2)
    alone = Hints(student, teacher, {"0": "0"}, X[:1], rng=rng(3))
    for loss in (Distillation(teacher), nn.functional.cross_entropy):
        both = Hints(student, teacher, {"0": "0"}, X[:1], rng=rng(3), loss=loss)
        out = student(nn.Tensor(X))
        other = loss(student, X, Y, None)[1] if isinstance(loss, Distillation) else loss(out, Y)
        assert both(student, X, Y, None)[1].item() == pytest.approx(
            alone(student, X, Y, None)[1].item() + other.item(), rel=1e-5)


def test_hints_within_hints_all_get_their_outputs():
    teacher, student = convolutions(5, seed=1), convolutions(2)
    inner = Hints(student, teacher, {"3": "3"}, X[:1])
    both = Hints(student, teacher, {"0": "0"}, X[:1], loss=inner)
    assert len(list(both.parameters())) == 2
    assert train(student, both)[0].loss > 0
    assert ambient.context.forward_hook is None


def test_a_forward_hook_from_before_is_called_too():
    heard = []
    student = convolutions(2)
    hints = Hints(student, convolutions(5), {"0": "0"}, X[:1])
    with within("forward_hook", lambda module, out: heard.append(module)):
        hints(student, X, Y, None)
    assert set(student.modules()) <= set(heard)


class Twice(nn.Module):
    """A layer that runs twice, one that gives two things, and one that does not run."""

    def __init__(self):
        self.fc, self.idle = nn.Linear(64, 64, rng=rng()), nn.Linear(2, 2)
        self.attention, self.last = nn.MultiheadAttention(64, 1), nn.Linear(64, 3, rng=rng())

    def forward(self, x):
        x = self.fc(self.fc(x.reshape(-1, 1, 64)))
        return self.last(self.attention(x, x, x)[0][:, 0])


@pytest.mark.parametrize(("error", "message", "how"), [
    (ValueError, "the student has no layer 'conv9'; it has 0, 1, 2, 3", {"layers": {"conv9": "0"}}),
    (ValueError, "the teacher has no layer 'bn'", {"layers": {"0": "bn"}}),
    (ValueError, "layers must map layers .* got {}", {"layers": {}}),
    (ValueError, "layers must map layers", {"layers": ["0"]}),
    (ValueError, r"leads from the student's layer '2', \(1, 128\), to \(1, 5, 8, 8\)",
     {"layers": {"2": "0"}}),
    (ValueError, r"no regressor leads .* \(1, 2, 4, 4\), to \(1, 5, 8, 8\); .* H×W not smaller",
     {"student": convolutions(2, 5, 0), "layers": {"0": "0"}}),
    (ValueError, "the student's layer 'fc' ran 2 times", {"student": Twice(), "layers": {"fc": "3"}}),
    (ValueError, "the student's layer 'idle' did not run", {"student": Twice(), "layers": {"idle": "3"}}),
    (ValueError, "'attention' gives a tuple", {"student": Twice(), "layers": {"attention": "3"}}),
    (TypeError, "teacher must be a Module, got list", {"teacher": [convolutions(2)]}),
    (TypeError, "student must be a Module", {"student": None}),
    (TypeError, "example must be an array of images", {"example": None}),
    (TypeError, "loss must be a function, a BatchLoss or None, got int", {"loss": 3}),
    (ValueError, "weight must be >= 0", {"weight": -1}),
    (ValueError, "weight must be >= 0", {"weight": float("nan")}),
])
def test_what_gives_no_hint_is_refused_by_name(error, message, how):
    settings = {"student": convolutions(2), "teacher": convolutions(5), "layers": {"0": "0"},
                "example": X[:1]}
    with pytest.raises(error, match=message):
        Hints(**{**settings, **how})


def test_a_network_is_no_teacher_of_itself():
    model = convolutions(2)
    with pytest.raises(ValueError, match="share a layer"):
        Hints(model, model, {"0": "0"}, X[:1])


def test_the_optimizer_must_train_the_regressors():
    student = convolutions(2)
    hints = Hints(student, convolutions(5), {"0": "0"}, X[:1])
    optimizer = nn.optim.SGD(student.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"does not train all parameters of Hints\(.*\*loss.parameters\(\)"):
        nn.train.fit(student, X, Y, epochs=1, optimizer=optimizer, loss=hints, rng=rng())
    for p in hints.parameters():
        p.requires_grad = False
    nn.train.fit(student, X, Y, epochs=1, optimizer=optimizer, loss=hints, rng=rng(), progress=False)


def test_a_hint_that_reaches_nothing_is_found():
    student = convolutions(2)
    hints = Hints(student, convolutions(5), {"0": "0"}, X[:1])
    for p in student[0].parameters():
        p.requires_grad = False
    with pytest.raises(ValueError, match="no gradient reaches the student's layer '0'"):
        train(student, hints)

    class Checkpointed(nn.Module):
        def __init__(self):
            self.body = convolutions(2)

        def forward(self, x):
            return nn.checkpoint(self.body, x)

    student = Checkpointed()
    hints = Hints(student, convolutions(5), {"body.0": "0"}, X[:1])
    with pytest.raises(ValueError, match=r"reaches the student's layer 'body\.0'.*nn\.checkpoint"):
        train(student, hints)
    assert train(student, Hints(student, convolutions(5), {"": ""}, X[:1]))[0].loss > 0  # is outside of it


def test_a_network_that_is_simulated_runs_no_layers():
    model = compress.prepare(convolutions(2), compress.Quantize(weights="int2", activations="uint2"), X)
    with pytest.raises(ValueError, match=r"layer '0' did not run .* computes as its Program does"):
        Hints(model, convolutions(5), {"0": "0"}, X[:1])


def test_no_forward_hook_stays_after_ctrl_c():
    student, teacher = convolutions(2), convolutions(5)
    hints = Hints(student, teacher, {"0": "0"}, X[:1])
    for model in (student, teacher):
        model[2].forward = lambda x: (_ for _ in ()).throw(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            train(student, hints)
        del model[2].forward
        assert ambient.context.forward_hook is None
        assert ambient.context.recording
        assert teacher.training
        assert student.training
