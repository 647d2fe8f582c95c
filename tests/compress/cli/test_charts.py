"""What the charts show: every row by name and mark, nothing hidden, no meaning in colour alone."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the charts need matplotlib (the extra plot)")

from matplotlib import rc_context

from compress.cli import charts
from compress.cli.placing import overlap
from compress.cli.rows import EVERY
from compress.cli.techniques import TECHNIQUES
from tests.compress.cli import ledgers
from tests.compress.cli.ledgers import ledger

TOL_MUTED = {"#CC6677", "#332288", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499"}


@pytest.fixture(scope="module")
def figures():
    with rc_context(charts.STYLE):
        made = charts.figures(ledger())
        for figure in made.values():
            figure.draw_without_rendering()
    return made


def extents(texts):
    return np.array([text.get_window_extent().extents for text in texts if text.get_text()])


@pytest.mark.parametrize("name", ["accuracy-bytes", "accuracy-milliseconds"])
def test_every_row_is_named_beside_its_mark_and_no_name_hides_another(figures, name):
    rows = ledger().rows
    for axes, network in zip(figures[name].axes, ("cnn", "mlp"), strict=True):
        mine = [row for row in rows if row.network == network]
        texts = [text for text in axes.texts if text.get_text()]
        assert [text.get_text() for text in texts] == [row.technique for row in mine if not row.control]
        labels = extents(texts)
        assert not np.triu(overlap(labels, labels), 1).any()
        assert (labels[:, 0] >= axes.bbox.x0 - 1).all()
        assert (labels[:, 2] <= axes.bbox.x1 + 1).all()
        marks = [container.lines[0] for container in axes.containers]
        at = np.array([axes.transData.transform(mark.get_xydata()[0]) for mark in marks])
        assert len(at) == len(mine)
        apart = np.abs(at[:, None] - at[None]).max(axis=2) + 1e9 * np.eye(len(at))
        assert apart.min() >= charts.SIZE * figures[name].dpi / 72


def test_controls_are_hollow_and_tied_to_their_rows(figures):
    rows = ledger().rows
    for axes, network in zip(figures["accuracy-bytes"].axes, ("cnn", "mlp"), strict=True):
        mine = [row for row in rows if row.network == network]
        marks = {row.technique: box.lines[0] for row, box in zip(mine, axes.containers, strict=True)}
        ties = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert len(ties) == sum(row.control for row in mine)
        for name, mark in marks.items():
            assert (mark.get_markerfacecolor() == "white") == name.endswith("dense control")
        for tie, control in zip(ties, [name for name in marks if "control" in name], strict=True):
            own = control.removesuffix(", dense control")
            wanted = [marks[own].get_xydata()[0], marks[control].get_xydata()[0]]
            assert np.allclose(tie.get_xydata(), wanted)
            assert marks[own].get_marker() == marks[control].get_marker()


def test_bars_reach_from_the_least_to_the_largest_seed(figures):
    rows = [row for row in ledger().rows if row.network == "cnn"]
    for row, container in zip(rows, figures["accuracy-bytes"].axes[0].containers, strict=True):
        (bar,) = container.lines[2]
        low, high = bar.get_segments()[0][:, 1]
        assert (low, high) == pytest.approx((100 * min(row.scores), 100 * max(row.scores)))


def test_no_two_techniques_look_alike_and_colours_are_safe():
    rows = [row for row in ledger().rows if not row.control]
    techniques = {technique.name: set() for technique in TECHNIQUES if not technique.more}
    for row in rows:
        name = max((name for name in techniques if row.technique.startswith(name)), key=len)
        techniques[name].add(charts._look(row))
    assert all(len(some) == 1 for some in techniques.values())  # in both networks
    colours, markers = zip(*(look for (look,) in techniques.values()), strict=True)
    assert len(set(colours)) == len(set(markers)) == len(techniques)
    assert set(colours) <= TOL_MUTED | {charts.INK}


def test_no_two_of_all_the_rows_look_alike():
    names = list(dict.fromkeys(technique.name for technique in EVERY))
    rows = [ledgers.row("cnn", name, [0.9], 1000.0) for name in names]
    assert len({charts._look(one) for one in rows}) == len(names) > 20


def test_too_many_rows_leave_out_those_of_all():
    some = ledger()
    more = [technique for technique in TECHNIQUES if technique.more]
    rows = [*some.rows, *(ledgers.row(one.network, one.name, [0.9, 0.9, 0.9], 30_000.0) for one in more)]
    with rc_context(charts.STYLE):
        figure = charts.figures(replace(some, rows=tuple(rows)))["accuracy-bytes"]
    names = [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]
    assert names == [row.technique for row in some.rows if not row.control]
    assert "--all" in figure.get_supxlabel()


@pytest.mark.parametrize("seed", range(4))
def test_no_name_touches_another_name_or_a_mark_wherever_the_rows_lie(seed):
    """Times and accuracies as a busy machine and a short training give them."""
    rng = np.random.default_rng(seed)
    some = ledger()
    rows = [
        replace(row, milliseconds=float(2 * np.exp(0.4 * rng.standard_normal())),
                scores=tuple(0.9 + 0.02 * rng.standard_normal() + 0.004 * rng.standard_normal(3)))
        for row in some.rows
    ]  # fmt: skip
    with rc_context(charts.STYLE):
        figure = charts.figures(replace(some, rows=tuple(rows)))["accuracy-milliseconds"]
        figure.draw_without_rendering()
    for axes in figure.axes:
        labels = extents(axes.texts)
        assert not np.triu(overlap(labels, labels), 1).any()
        marks = [container.lines[0] for container in axes.containers]
        at = np.array([axes.transData.transform(mark.get_xydata()[0]) for mark in marks])
        half = 0.3 * charts.SIZE * figure.dpi / 72
        assert not overlap(labels, np.hstack([at - half, at + half])).any()


def test_ticks_are_round_numbers_with_their_unit(figures):
    for name, unit in (("accuracy-bytes", " kB"), ("accuracy-milliseconds", " ms")):
        for axes in figures[name].axes:
            low, high = axes.get_xlim()
            ticks = [t for t in axes.xaxis.get_ticklabels() if low <= t.get_position()[0] <= high]
            assert len(ticks) >= 3
            assert all(t.get_text().endswith(unit) for t in ticks)
            seen = extents(ticks)
            assert not np.triu(overlap(seen, seen), 1).any()


def test_the_bars_of_layers_sum_to_the_file(figures):
    widths = {}
    for axes in figures["layer-bytes"].axes:
        for container in axes.containers:
            for i, patch in enumerate(container.patches):
                network = axes.get_gridspec().figure, i
                widths[network] = widths.get(network, 0.0) + patch.get_width()
    rows = [row for row in ledger().rows if not row.control]
    total = sum(sum(sum(parts.values()) for parts in row.layers.values()) for row in rows)
    assert 1000 * sum(widths.values()) == pytest.approx(total)
    titles = [axes.get_title() for axes in figures["layer-bytes"].axes]
    assert titles == ["conv1", "conv2", "conv3", "fc", "file header", "fc1", "fc2", "fc3", "file header"]


@pytest.mark.parametrize("networks", [("cnn", "mlp"), ("mlp",)])
def test_what_stands_below_a_chart_is_not_cut_off(networks):
    some = replace(ledger(), rows=tuple(row for row in ledger().rows if row.network in networks))
    with rc_context(charts.STYLE):
        figure = charts.figures(some)["accuracy-bytes"]
        figure.draw_without_rendering()
        found = extents(figure.texts)
    assert len(found) == 2  # what is on the axis, and the key
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2:] <= figure.bbox.max).all()
