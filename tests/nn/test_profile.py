"""Peak memory of a training step: the prediction against tracemalloc, and both against what theory says."""

import copy
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import nn
from nn.profile import measured_peak, predicted_peak
from nn.versions import wrote


def rng(seed=0):
    return np.random.default_rng(seed)


def images(*shape, requires_grad=False):
    return nn.Tensor(rng().normal(size=shape).astype(np.float32), requires_grad)


CHAINS = {
    "linear": (lambda: [nn.Linear(32, 32, rng=rng())], (2048, 32)),
    "linear and relu": (lambda: [nn.Linear(32, 32, rng=rng()), nn.ReLU()], (2048, 32)),
    "relu": (lambda: [nn.ReLU()], (2048, 32)),
    "as wide as the batch": (lambda: [nn.Linear(256, 256, rng=rng())], (256, 256)),
    "dropout": (
        lambda: [nn.Linear(32, 32, rng=rng()), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3)],
        (1024, 32),
    ),
    "convolution": (
        lambda: [nn.Conv2d(4, 4, 3, padding=1, rng=rng()), nn.BatchNorm2d(4), nn.ReLU()],
        (16, 4, 16, 16),
    ),
}


def chain(kind, n):
    build, shape = CHAINS[kind]
    return nn.Sequential(*(nn.Sequential(*build()) for _ in range(n))), shape


def measured(model, x, segments):
    return measured_peak(
        lambda: nn.checkpoint_sequential(model, segments, x).sum().backward(), model.parameters()
    )


def both(model, x, segments=None):
    """[measured, predicted]"""
    for _, buffer in model.named_buffers():
        wrote(buffer)    # the first step would leave an entry for each in the log of writes
    once = nn.Tensor(x.data, requires_grad=x.requires_grad)    # and the gate of each kernel
    nn.checkpoint_sequential(copy.deepcopy(model), segments, once).sum().backward()
    return [measured(model, x, segments), predicted_peak(model, x, segments)]


def different():
    conv = nn.Conv2d(2, 8, 3, rng=rng())
    return nn.Sequential(
        conv, nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.0), nn.Flatten(),
        nn.Linear(8 * 7 * 7, 300, rng=rng()), nn.ReLU(), nn.Linear(300, 10, rng=rng()),
    )  # fmt: skip


def activations():
    return nn.Sequential(*(nn.Sequential(nn.Linear(256, 256, rng=rng()), nn.Tanh()) for _ in range(100)))


CUTS = [(segments, wanted) for segments in (1, 3, 7, 30) for wanted in (False, True)]


def of_a_chain(kind):
    model, shape = chain(kind, 100)
    return both(model, images(*shape, requires_grad=kind == "relu"))    # something must want a gradient


def of_segments(segments, wanted):
    model, shape = chain("linear and relu", 30)
    return both(model, images(*shape, requires_grad=wanted), segments)


def of_layers_that_differ(segments):
    return both(different(), images(200, 2, 16, 16), segments)


def of_activations(segments):
    return both(activations(), images(256, 256), segments)


def alone(function, *arguments):
    """What a function of this file gives, in a process of its own: tables of the whole process that grow in a
    step, for what other tests left behind, would be measured, too."""
    here, root = Path(__file__).parent, Path(__file__).parents[2]
    paths = os.pathsep.join(map(str, filter(None, (root, here, os.environ.get("PYTHONPATH")))))
    program = (f"import json, {Path(__file__).stem} as this; "
               f"print(json.dumps(this.{function.__name__}(*{arguments!r})))")
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths},
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", [kind if kind == "dropout" else pytest.param(kind, marks=pytest.mark.long)
                                  for kind in CHAINS])
def test_a_chain_of_100_equal_layers_is_predicted_within_5_percent(kind):
    found, predicted = alone(of_a_chain, kind)
    assert found == pytest.approx(predicted, rel=0.05)


@pytest.mark.parametrize(("segments", "wanted"), [
    cut if cut == (3, True) else pytest.param(*cut, marks=pytest.mark.long) for cut in CUTS])
def test_other_segments(segments, wanted):
    found, predicted = alone(of_segments, segments, wanted)
    assert found == pytest.approx(predicted, rel=0.05)


@pytest.mark.parametrize("segments", [None, 1, 2])
def test_layers_that_differ(segments):
    found, predicted = alone(of_layers_that_differ, segments)
    assert found == pytest.approx(predicted, rel=0.1)


@pytest.mark.long
def test_the_activations_count_and_not_the_gradients_that_come_while_they_go():
    """100 × (linear 256 → 256, tanh), a batch of 256: each weight is as large as an activation. After the
    forward pass 100 activations are alive, or 10 + 9 with checkpoints; backward works in three more."""
    for segments, kept in ((1, 100), (None, 19)):
        found, predicted = (bytes_ / (256 * 256 * 4) for bytes_ in alone(of_activations, segments))
        assert found == pytest.approx(predicted, rel=0.05)
        assert kept < found < kept + 5


def test_a_gradient_that_stays_is_not_counted_at_any_moment():
    """What is alive beside the gradients is measured here by hand, after each layer's backward."""
    layers = [nn.Linear(200, 200, bias=False, rng=rng(i)) for i in range(8)]
    x, activation = images(200, 200), 200 * 200 * 4
    peak = measured_peak(lambda: nn.Sequential(*layers)(x).sum().backward(), [m.weight for m in layers])
    # The 8 inputs are kept (x belongs to us), the output is alive, and its gradient and that of its input.
    assert 8 * activation < peak < 11 * activation


def test_memory_grows_with_the_root():
    """√n inputs and √n layers of one array each: 2√n, and one or two for the gradients of the moment."""
    model, shape = chain("relu", 100)
    x = images(*shape, requires_grad=True)
    peaks = [predicted_peak(list(model)[:n], x) / x.data.nbytes for n in (25, 100)]
    assert peaks == pytest.approx([10, 20], abs=1)
    assert predicted_peak(model, x, 1) / x.data.nbytes == pytest.approx(101, abs=2)
    assert predicted_peak(model, x, 10) == predicted_peak(model, x)
    assert predicted_peak(model, x) < min(predicted_peak(model, x, s) for s in (4, 25))


def test_nothing_is_changed_by_a_prediction():
    model, shape = chain("dropout", 4)
    before = model.state_dict()
    nn.manual_seed(0)
    predicted_peak(model, images(*shape))
    assert nn.random.generator().random() == rng().random()
    assert all((value == before[name]).all() for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not tracemalloc.is_tracing()


def test_a_measurement_leaves_tracing_as_it_was():
    for traced in (False, True):
        if traced:
            tracemalloc.start()
        peak = measured_peak(lambda: np.ones(1000) + 1, [])
        assert tracemalloc.is_tracing() == traced
        assert 16000 < peak < 17000
    tracemalloc.stop()


def test_the_gradients_of_a_step_are_not_counted():
    layer, x = nn.Linear(500, 500, bias=False, rng=rng()), images(1, 500)
    for _ in range(2):
        peak = measured_peak(lambda: layer(x).sum().backward(), layer.parameters())
        assert layer.weight.grad is not None
        assert peak < 50_000
