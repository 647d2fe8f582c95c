"""nn.explain.graph and nn.explain.steps: what is drawn is what backward does."""

import subprocess
import sys

import numpy as np
import pytest

import nn
from nn import functional as F


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib", reason="draws with matplotlib (the extra plot)")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def perceptron():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(6, 5, rng=rng), nn.ReLU(), nn.Linear(5, 3, rng=rng))
    x = nn.Tensor(rng.random((4, 6)).astype(np.float32))
    return model, F.cross_entropy(model(x), np.array([0, 1, 2, 0]))


def shared():
    """A residual connection, a weight that is used twice, and a value that two operations keep."""
    w = nn.Tensor(np.array([[1.0, 2.0], [3.0, -1.0]]), requires_grad=True)
    x = nn.Tensor(np.ones((3, 2)))
    h = (x @ w).tanh()
    return {"w": w}, ((h @ w + h) * h).sum()


def transformer():
    rng = np.random.default_rng(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, rng=rng)
    y = model(nn.Tensor(rng.random((2, 3, 8)).astype(np.float32)))
    return model, (y * y).mean()


@pytest.mark.parametrize("network", [perceptron, shared, transformer])
def test_steps_are_those_of_backward(network):
    names, loss = network()
    steps = nn.explain.steps(loss, names=names)
    assert [step.number for step in steps] == [*range(1, len(steps) + 1)]
    last = steps[-1]
    loss.backward()    # nothing was freed, and no gradient left
    leaves = names if isinstance(names, dict) else dict(names.named_parameters())
    assert last.known.keys() == last.complete == leaves.keys()
    for name, leaf in leaves.items():
        np.testing.assert_allclose(last.known[name], leaf.grad, rtol=1e-5, atol=1e-7)
    for step in steps:
        assert step.gradient is not None
        assert {*step.gives} <= {*step.known}
        assert f"back through {step.name} = {step.call}" in str(step)


def test_a_list_of_steps_is_short_and_names_them():
    steps = nn.explain.steps(perceptron()[1])
    assert repr(steps[3]) == "<step 4 of 5: t2 = relu(t1)>"
    assert "array" not in repr(steps)


@pytest.mark.parametrize("network", [perceptron, shared, transformer])
def test_bytes_that_are_freed_are_those_that_explain_tells_of(network):
    names, loss = network()
    steps = nn.explain.steps(loss, names=names)
    kept = sum(int(word.replace(",", "")) for line in nn.explain(loss).splitlines()
               for word, unit in [line.rsplit(maxsplit=2)[-2:]] if unit == "B" and line.startswith("  t"))
    assert sum(step.freed for step in steps) == kept > 0
    assert [step.held for step in steps] == (kept - np.cumsum([step.freed for step in steps])).tolist()


def test_a_gradient_is_complete_when_all_have_sent_theirs():
    names, loss = shared()
    steps = nn.explain.steps(loss, names=names)
    states = ["w" in step.complete for step in steps if "w" in step.known]
    assert states == sorted(states)
    assert {*states} == {False, True}, "first in part, then known"
    assert "(not all of it)" in str(steps[1])


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def inside(ax):
    """Whether every text lies in the figure, and none is over another."""
    renderer = ax.figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in ax.texts if text.get_text()]
    frame = ax.figure.bbox
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
               for box in boxes)
    crossing = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]
                if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 2]
    assert not crossing


@pytest.mark.parametrize("network", [perceptron, shared, transformer])
def test_the_graph_has_a_row_an_operation(network, pyplot):
    names, loss = network()
    ax = nn.explain.graph(loss, names=names)
    said = texts(ax)
    rows = [line.strip() for line in nn.explain(loss, names).splitlines() if line.startswith("  t")]
    assert len(rows) == len([text for text in said if text.startswith("t") and " = " in text])
    assert said[0].startswith(f"{len(rows)} operations, ")
    inside(ax)
    step = nn.explain.steps(loss, names=names)[2]
    ax = step.draw()
    assert texts(ax)[0].startswith(f"backward, step 3 of {len(rows)}: ")
    assert {"gradient known", "known in part"} < {*texts(ax)}
    inside(ax)


def test_it_draws_in_axes_that_are_given(pyplot):
    _, loss = perceptron()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(16, 5))
    assert nn.explain.graph(loss, left) is left
    assert nn.explain.steps(loss)[0].draw(ax=right) is right
    assert pyplot.get_fignums() == [figure.number]
    with pytest.raises(TypeError, match=r"explain\.graph: ax must be Axes of matplotlib, got str"):
        nn.explain.graph(loss, "ax")


def test_of_a_long_graph_the_end_is_drawn(pyplot):
    y = nn.Tensor([1.0, 2.0], requires_grad=True)
    for _ in range(100):
        y = y + 1
    said = texts(nn.explain.graph(y))
    assert said[0] == "100 operations, 0 B kept for backward; the last 24 of them"
    assert "t77 = add(t76, ·)" in said
    assert "t76 = add(t75, ·)" not in said


def test_after_backward_it_is_drawn_as_freed(pyplot):
    _, loss = perceptron()
    loss.backward()
    assert texts(nn.explain.graph(loss))[0].endswith("kept for backward (freed)")
    with pytest.raises(RuntimeError, match="backward has been through this operation already"):
        nn.explain.steps(loss)


def test_what_has_no_graph():
    for function in (nn.explain.graph, nn.explain.steps):
        with pytest.raises(TypeError, match="wanted a Tensor, got int"):
            function(3)
        with pytest.raises(ValueError, match="is a leaf, made and not computed: there is no graph behind it"):
            function(nn.Tensor([1.0], requires_grad=True))
    y = nn.Tensor([1.0, 2.0], requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="pass a grad of that shape, or reduce first"):
        nn.explain.steps(y)
    with pytest.raises(ValueError, match=r"grad has shape \(3,\), wanted \(2,\), its own"):
        nn.explain.steps(y, np.ones(3))
    (step,) = nn.explain.steps(y, [1.0, 3.0])
    assert step.known["w1"].tolist() == [2, 6]


def test_without_matplotlib_the_extra_is_named_and_nn_does_not_load_it():
    program = """
import sys, nn
print("matplotlib" in sys.modules, "nn.explain.drawing" in sys.modules)
sys.modules["matplotlib"] = None
loss = (nn.Tensor([1.0], requires_grad=True) * 2).sum()
print(len(nn.explain.steps(loss)))
try:
    nn.explain.graph(loss)
except ModuleNotFoundError as error:
    print(error, error.name)
print(callable(nn.explain), "graph" in dir(nn.explain), hasattr(nn.explain, "nothing"))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "False False", "2", "explain.graph draws with matplotlib, which the extra `plot` brings: "
        "pip install 'espalier[plot]' matplotlib", "True True False"], done.stderr


def test_a_layout_that_rcparams_asks_for_is_left_alone(pyplot):
    """Drawings place their own axes; a layout engine would warn that it finds nothing to do."""
    _, loss = perceptron()
    with pyplot.rc_context({"figure.constrained_layout.use": True}):
        figure = nn.explain.graph(loss).figure
        figure.canvas.draw()
        assert figure.get_layout_engine() is None
        assert pyplot.figure().get_layout_engine() is not None
