"""nn.explain for notebooks: the reader's guesses, the look of figures, the roofline."""

import os
import subprocess
import sys

import numpy as np
import pytest

import nn
from nn.compiler import NoCompilerError
from nn.explain import Guesses
from tests.in_c import why_not


def test_a_guess_is_printed_beside_what_was_measured_and_kept(capsys):
    guesses = Guesses()
    guesses.compare("loss", np.float32(2.5), yours=2, theory=2.302585)
    guesses.compare("accuracy, %", np.array(97))
    assert capsys.readouterr().out.splitlines() == [
        "loss: you said 2, derived 2.303, measured 2.5", "accuracy, %: measured 97"]
    assert [line.split() for line in str(guesses).splitlines()] == [
        ["you", "derived", "measured"], ["loss", "2", "2.303", "2.5"], ["accuracy,", "%", "-", "-", "97"]]


def test_a_cell_that_runs_again_replaces_its_line_and_columns_nobody_fills_are_left_out():
    guesses = Guesses()
    assert str(guesses) == "nothing was compared yet"
    guesses.compare("a", 1)
    guesses.compare("a", 2, yours=3)
    head, row = str(guesses).splitlines()
    assert head.split() == ["you", "measured"]
    assert row.split() == ["a", "3", "2"]
    guesses.compare("b", 1.2345678, taught=4)
    lines = str(guesses).splitlines()
    assert lines[0].split() == ["taught", "you", "measured"]
    assert lines[2].split() == ["b", "4", "-", "1.235"]
    assert len({*map(len, lines)}) == 1, "columns stand below each other"


@pytest.mark.parametrize(("name", "value"), [("yours", "42"), ("measured", None), ("theory", [1, 2]),
                                             ("taught", np.ones(2))])
def test_what_is_no_number_is_refused_by_name(name, value):
    guesses = Guesses()
    with pytest.raises(TypeError, match=rf"compare: {name} must be a number, got .* \(what\)"):
        guesses.compare(**{"what": "what", "measured": 1} | {name: value})
    assert str(guesses) == "nothing was compared yet"


@pytest.mark.parametrize(("said", "fast"), [("1", True), ("", False)])
def test_a_short_run_is_asked_for_by_nn_fast(said, fast):
    """And importing this loads no matplotlib, which is asked for by the extra's name when it is wanted."""
    program = """
import sys, nn
from nn.explain import BLUE, FAST, Guesses, roofline, style
print(FAST, "matplotlib" in sys.modules)
sys.modules["matplotlib"] = None
for draw in (style, lambda: roofline(1, {"memory": 1}, {})):
    try:
        draw()
    except ModuleNotFoundError as error:
        print("espalier[plot]" in str(error), error.name)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True,
                          env=os.environ | {"NN_FAST": said})
    assert done.stdout.splitlines() == [f"{fast} False", *2 * ["True matplotlib"]], done.stderr


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib", reason="draws with matplotlib (the extra plot)")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context():
        nn.explain.style()
        yield pyplot
    pyplot.close("all")


def test_the_style_is_set_and_what_is_unknown_is_named(pyplot):
    assert pyplot.rcParams["font.size"] == 13
    nn.explain.style(font_size=20, figure_dpi=50)
    assert (pyplot.rcParams["font.size"], pyplot.rcParams["figure.dpi"]) == (20, 50)
    assert not pyplot.figure().add_subplot().spines["top"].get_visible()
    with pytest.raises(KeyError, match="font_colour"):
        nn.explain.style(font_colour="red")


def test_a_note_stands_beside_its_place(pyplot):
    figure, axes = pyplot.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    nn.explain.note(axes, "here", (0.5, 0.5), color=nn.explain.BLUE)
    nn.explain.note(axes, "above", (0.5, 0.5), (0, 10), ha="right")
    figure.draw_without_rendering()
    here, above = (text.get_window_extent() for text in axes.texts)
    x, y = axes.transData.transform((0.5, 0.5))
    assert here.x0 > x > above.x1 - 1
    assert here.y0 < y < here.y1, "sideways: at the same height"
    assert y < above.y0


def test_ticks_are_the_numbers_alone(pyplot):
    _, axes = pyplot.subplots()
    axes.loglog([0.5, 1000], [0.5, 1000])
    nn.explain.ticks(axes, x=[1, 10, 1000], y={0.5: "½", 1: "1"})
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "10", "1,000"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["½", "1"]
    assert axes.get_yticks().tolist() == [0.5, 1]
    assert not len(axes.get_xticks(minor=True))
    nn.explain.ticks(axes, x=[5])
    assert axes.get_yticks().tolist() == [0.5, 1], "what is not named stays"


def test_a_picture_of_signed_numbers_has_zero_in_the_middle(pyplot):
    _, (left, right) = pyplot.subplots(1, 2)
    nn.explain.picture(left, np.array([[-1.0, 4.0]]), "a filter", signed=True)
    assert left.images[0].get_clim() == (-4, 4)
    assert left.get_title() == "a filter"
    assert not left.axison
    nn.explain.picture(right, np.zeros((2, 2)), signed=True)
    assert right.images[0].get_clim() == (-1, 1)


def test_numbers_stand_in_their_cells_and_can_be_read(pyplot):
    _, axes = pyplot.subplots()
    with pytest.raises(ValueError, match="there is no image in these axes"):
        nn.explain.numbers(axes)
    axes.imshow(np.array([[0.0, 1.0], [10.0, 9.0]]), cmap="gray_r")
    nn.explain.numbers(axes, form="{:.1f}")
    assert [(text.get_position(), text.get_text(), text.get_color()) for text in axes.texts] == [
        ((1, 0), "1.0", "black"), ((0, 1), "10.0", "white"), ((1, 1), "9.0", "white")]
    nn.explain.numbers(axes, np.array([[7, 0], [0, 0]]), fontsize=5)
    assert (axes.texts[-1].get_text(), axes.texts[-1].get_color()) == ("7", "black")
    with pytest.raises(ValueError, match=r"values have shape \(3,\), the image \(2, 2\)"):
        nn.explain.numbers(axes, np.ones(3))


POINTS = {"far": (0.25, 2e9), "near": (8, 40e9)}


def test_the_roofline_is_the_least_of_peak_and_reading(pyplot):
    ax = nn.explain.roofline(50e9, {"memory": 10e9, "cache": 100e9}, POINTS)
    for line, speed in zip(ax.lines, (10, 100), strict=False):
        x, y = line.get_data()
        np.testing.assert_allclose(y, np.minimum(50, speed * x))
    drawn = [tuple(float(v[0]) for v in line.get_data()) for line in ax.lines[2:]]
    assert drawn == [(0.25, 2), (8, 40)]
    assert {text.get_text() for text in ax.texts} == {"memory", "cache", "the peak", "far", "near"}
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert all(left < x < right and low < y < high for x, y in drawn)
    frame = ax.figure.bbox
    boxes = [text.get_window_extent() for text in ax.texts]
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    _, mine = pyplot.subplots()
    assert nn.explain.roofline(1, {"memory": 1}, {}, ax=mine) is mine


@pytest.mark.parametrize(("change", "name"), [
    ({"peak": 0}, "peak"), ({"reads": {"disk": -1}}, "disk"), ({"points": {"p": (1, float("nan"))}}, "p")])
def test_a_roofline_of_no_speed_is_refused(change, name):
    with pytest.raises(ValueError, match=rf"numbers must be above 0, got .* for '{name}'"):
        nn.explain.roofline(**{"peak": 1, "reads": {"memory": 1}, "points": {}} | change)


@pytest.mark.skipif(why_not() is not None, reason=f"builds C: {why_not()}")
def test_a_text_in_c_is_compiled_where_it_stands():
    text, signature = "double twice(double x) { return TIMES * x; }", "double twice(double x);"
    once, again = (nn.explain.compiled(text, signature, TIMES=times)[1] for times in (2, 3))
    assert (once.twice(21), again.twice(21)) == (42, 63)
    with pytest.raises(RuntimeError, match=r"can't compile this:\n(.|\n)*TIMES"):
        nn.explain.compiled(text, signature)


def test_where_there_is_no_compiler_compiled_says_so(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoCompilerError, match="name it in CC"):
        nn.explain.compiled("", "")
