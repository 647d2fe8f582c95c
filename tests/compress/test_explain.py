"""compress.explain: what is drawn is what is stored."""

import subprocess
import sys

import numpy as np
import pytest

import compress
import nn
from tests.nn.test_explain_drawn import inside, pyplot, texts  # noqa: F401

pytestmark = pytest.mark.usefixtures("pyplot")
X = np.random.default_rng(0).random((32, 1, 8, 8)).astype(np.float32)


def converted(recipe, build=nn.models.digits_cnn):
    model = build(rng=np.random.default_rng(0)).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):    # as after a training: channels differ
            buffer[:] = np.linspace(0.5, 2, len(buffer))
    before = {name: weight.data.copy() for name, weight in model.named_parameters()}
    compress.prepare(model, recipe, X)
    return before, model, compress.convert(model)


def bars(ax):
    return {round(rectangle.get_x() + rectangle.get_width() / 2, 9): int(rectangle.get_height())
            for rectangle in ax.patches if hasattr(rectangle, "get_height")}


@pytest.mark.parametrize(("recipe", "build", "kind"), [
    (compress.Quantize(), nn.models.digits_cnn, "int8"),
    ([compress.Prune(0.9), compress.Cluster(bits=4)], nn.models.digits_cnn, "pruned-shared"),
    (compress.TensorTrain(rank=4), nn.models.digits_mlp, "tensor train")])
def test_a_program_has_a_row_a_call_with_formats_and_bytes(recipe, build, kind):
    *_, program = converted(recipe, build)
    ax = compress.explain.program(program)
    said = texts(ax)
    assert said[0].startswith(f"{program.name}: {len(program.calls)} calls, {program.macs:,} multiply-adds")
    for call in program.calls:
        assert any(text.startswith(f"{call.output} = {call.op}(") for text in said)
        assert str(program.values[call.output]) in said
        for name in call.constants.values():
            assert any(text.startswith(f"{name} ") for text in said)
    assert len([text for text in said if text.endswith(f"B {kind}")]) == len(
        [one for one in program.constants.values() if getattr(one, "kind", "") == kind])
    inside(ax)


def test_a_histogram_counts_every_weight():
    before, model, program = converted([compress.Prune(0.9), compress.Cluster(bits=3)], nn.models.digits_mlp)
    w = before["fc2.weight"]
    ax = compress.explain.histogram(w)
    assert sum(bars(ax).values()) == w.size
    ax = compress.explain.histogram(w, model.fc2.weight)
    label = [text.get_text() for text in ax.get_legend().get_texts()]
    assert label == ["before", "after: 7 values", "0: 27,000 weights (90.0 %)"]
    same = compress.explain.histogram(w, program.constants["fc2.weight"])    # as it is stored
    assert [text.get_text() for text in same.get_legend().get_texts()] == label


def test_a_channel_shows_its_own_grid():
    before, model, _ = converted(compress.Quantize())
    ax = compress.explain.histogram(before["conv2.weight"], model.conv2.weight, channel=2)
    own = np.unique(nn.no_grad()(lambda: model.conv2.weight.parametrized().data)()[2])
    assert [text.get_text() for text in ax.get_legend().get_texts()][1] == f"after: {len(own)} values"
    (rug,) = [line for line in ax.lines if line.get_marker() == "|"]
    np.testing.assert_allclose(rug.get_xdata(), own)
    with pytest.raises(IndexError):
        compress.explain.histogram(before["conv2.weight"], channel=64)


def test_a_codebook_has_values_members_and_entropy():
    ax = compress.explain.codebook(np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, -1.0, 0.0]]))
    assert ax.get_title(loc="left") == "4 values, 2 bits a code; entropy 1.75 bits"
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2", "3"]
    marks = next(line for line in ax.lines if line.get_marker() == "|")
    assert marks.get_xdata().tolist() == [-0.5, 0.5, 1.5]
    assert compress.explain.codebook(np.ones((2, 2))).get_title(loc="left").endswith("entropy 0.00 bits")


def test_a_codebook_is_drawn_without_the_scales_of_channels():
    """Batch norm, folded into a shared weight, leaves a factor for each channel."""
    *_, program = converted(compress.Cluster(bits=4))
    stored = program.constants["conv2.weight"]
    assert len(np.unique(stored.decode())) > 256
    title = compress.explain.codebook(stored).get_title(loc="left")
    assert title.startswith("16 values, 4 bits a code; entropy ")
    assert title.endswith("; times a scale a channel")
    with pytest.raises(ValueError, match=r"codebook: the weight has [\d,]+ different values, a codebook"):
        compress.explain.codebook(stored.decode())


def test_a_mask_is_dark_where_weights_live():
    w = np.zeros((4, 6))
    w[1, 2] = w[3, 5] = 1
    ax = compress.explain.mask(w)
    (image,) = ax.images
    assert np.argwhere(image.get_array() == 1).tolist() == [[1, 2], [3, 5]]
    assert ax.get_title(loc="left") == "91.7 % of 4×6 weights are 0"
    large = np.zeros((600, 1100))
    large[:2, :3] = 1
    ax = compress.explain.mask(large)
    assert ax.images[0].get_array().shape == (300, 367)
    assert ax.images[0].get_array().sum() == 1
    assert texts(ax) == ["a dot: 2×3 weights"]
    assert compress.explain.mask(np.ones((601, 5))).images[0].get_array().min() == 1    # the last is cut


def test_cores_are_drawn_with_ranks_and_modes():
    _, model, program = converted(compress.TensorTrain(rank=4), nn.models.digits_mlp)
    stored = program.constants["fc1.weight"]
    ax = compress.explain.cores(stored)
    cores = stored.cores()
    said = texts(ax)
    assert said[0].startswith(f"W 300×64: {sum(core.size for core in cores):,} numbers in 3 cores, ")
    assert [text for text in said if text.startswith("r = ")] == ["r = 4", "r = 4"]
    assert [text for text in said if text.startswith("i = ")] == [f"i = {core.shape[1]}" for core in cores]
    for image, core in zip(ax.images, cores, strict=True):
        assert np.array_equal(image.get_array(), core.reshape(core.shape[0] * core.shape[1], -1))
    assert texts(compress.explain.cores(model.fc1.weight)) == texts(compress.explain.cores(cores)) == said
    inside(ax)
    (alone,) = compress.explain.cores([np.ones((1, 3, 2, 1))]).images
    assert alone.get_array().shape == (3, 2)


def test_they_draw_in_axes_that_are_given(pyplot):  # noqa: F811
    *_, program = converted(compress.TensorTrain(rank=4), nn.models.digits_mlp)
    w = program.constants["fc1.weight"]
    figure, axes = pyplot.subplots(2, 2)
    for draw, ax in zip((compress.explain.histogram, compress.explain.mask, compress.explain.cores),
                        axes.flat, strict=False):
        assert draw(w, ax=ax) is ax
    assert compress.explain.program(program, axes[1, 1]) is axes[1, 1]
    assert pyplot.get_fignums() == [figure.number]


E = compress.explain


@pytest.mark.parametrize(("draw", "given", "error", "said"), [
    (E.histogram, ("w",), TypeError, "a weight is an array, a Tensor, a Parameter or a stored form"),
    (E.mask, (nn.Linear(2, 3),), TypeError, "got Linear: give its .weight"),
    (E.cores, (nn.Linear(2, 3),), TypeError, "got Linear: give its .weight"),
    (E.histogram, (np.ones((2, 3)), np.ones((3, 2))), ValueError, r"before is \(2, 3\), after \(3, 2\)"),
    (E.histogram, (np.array([[np.nan]]),), ValueError, "is empty, or holds NaN or infinity"),
    (E.mask, (np.ones(3),), ValueError, "a weight has shape"),
    (E.codebook, (None,), TypeError, "got NoneType"),
    (E.cores, (np.ones((2, 2)),), TypeError, "wanted a tensor train .* got ndarray"),
    (E.cores, ([np.ones((1, 2, 2, 3)), np.ones((2, 2, 2, 1))],), ValueError, "begin and end with rank 1"),
    (E.program, (nn.Linear(2, 3),), TypeError, "wanted a Program, as compress.convert gives it; got Linear")])
def test_what_can_not_be_drawn(draw, given, error, said):
    with pytest.raises(error, match=said):
        draw(*given)


def test_without_matplotlib_the_extra_is_named():
    program = """
import sys, compress, numpy as np
sys.modules["matplotlib"] = None
try:
    compress.explain.mask(np.ones((2, 3)))
except ModuleNotFoundError as error:
    print(error)
print("explain" in dir(compress))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert "explain.mask draws with matplotlib, which the extra `plot` brings" in done.stdout
    assert done.stdout.endswith("True\n")
