"""`espalier search` on a few recipes: what it measures, chooses and keeps, and what it says of a goal that
nothing reaches."""

import json
from pathlib import Path

import numpy as np
import pytest

import compress
import nn
from compress import Goal
from compress.cli import command, job, search, search_space
from compress.cli.cells import Measuring
from compress.cli.experiment import Data
from compress.cli.search_space import CONTROL, HELD_OUT, TEST, Accuracies, Trial
from compress.cli.techniques import NETWORKS
from compress.search.front import combinations
from compress.search.goal import Outcome

FEW = [("int8",), ("pruned 50%", "int8"), ("int4",), ("pruned 50%",)]
PARTS = {"a": (-1.0, 0.5), "b": (-0.5, 0.25), "c": (-8.0, 0.1), "d": (0.25, 1.0)}  # points, share of bytes


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return Path("espalier-runs")


@pytest.fixture
def few(monkeypatch, folder):
    """The command in an empty folder, with few recipes."""
    monkeypatch.setattr(search_space, "candidates", lambda network: FEW)
    small = ("--network", "mlp", "--quick", "--seeds", "1", "--threads", "1")
    return lambda *options: command(["search", *small, *options])


def test_it_finds_a_recipe_trains_it_on_all_images_and_tests_it_once(few, folder, capsys, monkeypatch):
    assert few("--bytes", "70000") == 0
    said = capsys.readouterr().out
    found = json.loads((folder / "search.json").read_bytes())
    asked = [(one["recipe"], one["epochs"], one["on"]) for one in found["cells"]]
    assert sorted(asked[:4]) == sorted((" + ".join(parts), 1, HELD_OUT) for parts in FEW)
    chosen = asked[-2][0]
    assert asked[-2:] == [(chosen, 2, TEST), (CONTROL, 2, TEST)], "the test images last, and of nothing else"
    assert {on for _, _, on in asked[:-2]} == {HELD_OUT}
    own, control = (one["accuracies"] for one in found["cells"][-2:])
    assert control["nbytes"] == pytest.approx(own["nbytes"], rel=0.05)
    assert f"chosen: {chosen}; on the test images" in said.replace("\n", " ")
    program = compress.load(folder / "search-mlp.safetensors")
    data = nn.data.digits()
    assert nn.train.accuracy(program, data.x_test, data.y_test) == own["own"]

    monkeypatch.setattr(Measuring, "workers", property(lambda self: pytest.fail("something was left to do")))
    monkeypatch.setattr(search, "_test", lambda *rest: None)
    assert few("--bytes", "70000", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["chosen"] == chosen
    assert again["cells"] == found["cells"]
    assert said.endswith("results, chart and network: espalier-runs\n")
    assert few("--bytes", "7") == 1
    assert capsys.readouterr().out.endswith("results and chart: espalier-runs\n"), "no network is chosen"


@pytest.mark.parametrize("network", ["cnn", "mlp"])
def test_every_candidate_is_a_recipe_that_trains_and_converts(network):
    """Each part of each axis once, beside one of the others; and no two that destroy each other."""
    every = search_space.candidates(network)
    assert ("taught",) in every
    assert len(every) < len(list(combinations(search_space.AXES[network]))) or network == "cnn"
    assert not [parts for parts in every if "rank 4" in parts and "int8" in parts]
    for parts in [every[1], every[len(every) // 2], every[-1]]:
        model = NETWORKS[network].build(0.2, rng=np.random.default_rng(0))
        made = search_space.recipe(network, parts, 3)
        whole = any(part in search_space.STORED for part in parts)  # the end is stored so, too
        assert (search_space.END[network] in made.chains(model)) == whole
        compress.prepare(model, made, np.zeros((4, 1, 8, 8), np.float32))  # rehearses to convert it


def test_parts_are_trained_at_the_least_of_their_rates():
    assert search_space.rate("mlp", ("rank 4", "taught")) == search_space.rate("mlp", ("rank 4",)) == 3
    assert search_space.rate("mlp", ("pruned 50%", "int8")) == search_space.rate("mlp", ("int8",)) < 1
    assert search_space.rate("cnn", ("taught",)) == 1


class Fake:
    """In place of workers: parts of known effect that add up, with noise in short trainings."""

    def __init__(self, seed=0, noise=0.0, stop=None):
        self.noise, self.stop, self.asked = noise, stop, []

    def __call__(self, data, budget, seed, trial):
        if len(self.asked) == self.stop:
            raise KeyboardInterrupt
        self.asked.append((trial, seed))
        points, share = 0.0, 1.0
        for part in filter(None, trial.recipe.split(" + ") if trial.recipe != CONTROL else []):
            points, share = points + PARTS[part][0], share * PARTS[part][1]
        key = [seed, trial.epochs, *map(ord, trial.recipe)]
        points += self.noise / trial.epochs * np.random.default_rng(key).standard_normal()
        return Accuracies(0.96, 0.96 + points / 100, 1e5 * share, 2 * share if trial.timed else 0.0)


@pytest.fixture
def fake(monkeypatch, folder):
    """Search with what is known: run(goal, fake, seeds)."""
    every = [*combinations([["a", "b"], ["c"], ["d"]])]
    monkeypatch.setattr(search_space, "candidates", lambda network: every)
    monkeypatch.setattr(search.search_space, "save", lambda *rest: 0)

    class Pool:
        def alone(self, function, *arguments):
            return function(*arguments)

    def run(goal, fake, seeds=2, seed=0):
        def measure(self, wanted):
            for trial, one in wanted:
                if (trial, one) not in self.cells.found:
                    self.cells.found[trial, one] = fake(None, None, one, trial)
                    (folder / "search.json").write_text(json.dumps(self.cells.to_json()))

        monkeypatch.setattr(Measuring, "__call__", measure)
        monkeypatch.setattr(Measuring, "workers", Pool())
        return search.run(job.Options(folder, seeds=seeds, seed=seed), goal, "cnn")

    return run


def test_it_chooses_the_most_accurate_within_the_bytes_and_the_smallest_within_the_margin(fake):
    assert fake(Goal(nbytes=30_000), Fake()).chosen == ("b", "d")
    assert fake(Goal(margin=0.5), Fake()).chosen == ("b", "d")
    assert fake(Goal(nbytes=60_000, margin=1), Fake()).chosen == ("b", "d")
    assert fake(Goal(nbytes=3_000), Fake()).chosen == ("b", "c", "d")


def test_the_budget_is_that_of_the_rungs_and_parts_are_measured_as_long_as_their_recipe(fake):
    objective = Fake()
    found = fake(Goal(nbytes=30_000), objective, seeds=2)
    held_out = [(trial, seed) for trial, seed in objective.asked if trial.on == HELD_OUT]
    count = {epochs: sum(trial.epochs == epochs for trial, _ in held_out) // 2 for epochs in (1, 2, 5, 10)}
    assert count == {1: 11, 2: 5, 5: 2, 10: 1 + len(set(found.last) - set(found.rounds[-1].outcomes))}
    assert {("b",), ("d",), ()} <= set(found.last)
    assert [trial.on for trial, _ in objective.asked].index(TEST) == len(held_out)


def test_where_parts_add_up_the_table_predicts_what_it_shows(fake):
    found = fake(Goal(nbytes=30_000), Fake())
    line = next(line for line in found.text().splitlines() if line.startswith("b + d "))
    assert line.split()[3:9] == ["-0.25", "±0.00", "25,000", "4.00", "-0.25", "25,000"]
    assert line.split()[9:] == ["●", "reached"]


def test_after_a_kill_it_goes_on_and_finds_the_same(fake, folder):
    whole = fake(Goal(nbytes=30_000), Fake(noise=1.0))
    asked = len(json.loads((folder / "search.json").read_bytes())["cells"])
    for at in (0, 9, 30):
        (folder / "search.json").unlink()
        with pytest.raises(KeyboardInterrupt):
            fake(Goal(nbytes=30_000), Fake(noise=1.0, stop=at))
        rest = Fake(noise=1.0)
        again = fake(Goal(nbytes=30_000), rest)
        assert (again.chosen, again.last, again.rounds) == (whole.chosen, whole.last, whole.rounds)
        assert len(rest.asked) == asked - at


def test_seeds_are_those_that_were_asked_for(fake):
    objective = Fake(noise=2.0)
    first = fake(Goal(nbytes=30_000), objective, seeds=2, seed=5)
    assert {seed for _, seed in objective.asked} == {5, 6}
    assert fake(Goal(nbytes=30_000), Fake(noise=2.0), seeds=2, seed=0).last != first.last


def test_a_goal_that_nothing_reaches_names_the_nearest_and_leaves_the_test_images_alone(fake):
    objective = Fake()
    found = fake(Goal(nbytes=3_000, margin=0.5), objective)
    assert found.chosen is None
    assert {trial.on for trial, _ in objective.asked} == {HELD_OUT}
    notes = "\n".join(found.notes())
    assert "nothing reaches the goal; the nearest:" in notes
    assert "b + c + d: -8.25 points where -0.50 is wanted, 7.75 short" in notes
    assert "bytes where 3,000 are wanted" in notes


def test_milliseconds_are_measured_where_they_are_wanted(fake):
    objective = Fake()
    found = fake(Goal(milliseconds=0.5), objective)
    assert all(trial.timed for trial, _ in objective.asked)
    assert found.chosen == ("b", "d")
    assert found.cost == "milliseconds"
    assert "0.500" in found.text()


def test_a_recipe_that_diverges_is_one_that_gets_nothing_right(monkeypatch):
    """It does not end the search, and reaches no goal that limits what is lost."""
    monkeypatch.setattr(search_space, "rate", lambda network, parts: 1e30)
    one = search_space.measured(Data(limit=64), job.QUICK, 0, Trial("mlp", "taught", 5, timed=True),
                                lambda epochs: None)
    assert one.own == 0 < one.float
    assert one.milliseconds > 0
    assert one.nbytes > 200_000  # of the float network
    assert not Goal(margin=50).reached(Outcome(100 * (one.own - one.float), one.nbytes))


def test_a_trial_is_timed_and_a_teacher_is_heard():
    data, budget = Data(limit=64), job.QUICK
    timed = search_space.measured(data, budget, 0, Trial("mlp", "int8", 1, timed=True), lambda epochs: None)
    assert timed.milliseconds > 0
    alone, taught = (search_space.made(data, budget, 0, Trial("mlp", recipe, 1), lambda epochs: None)
                     for recipe in ("int8", "int8 + taught"))
    x = nn.data.digits().x_test[:9]
    assert (alone(x) != taught(x)).any()


def test_the_chart_has_both_fronts(fake):
    pytest.importorskip("matplotlib")
    from compress.cli import search_chart

    for goal in (Goal(nbytes=30_000, margin=1), Goal(margin=1), Goal(milliseconds=0.5)):
        found = fake(goal, Fake(noise=1.0))
        axes = search_chart.figure(found).axes[0]
        lines = {line.get_label(): line for line in axes.lines}
        measured, predicted = lines["front of what was measured"], lines.get("front of what was predicted")
        front = compress.pareto_front(found.last, found.cost)
        assert len(measured.get_xdata()) == len(front)
        assert {text.get_text() for text in axes.texts if text.get_text()} == {
            " + ".join(parts) or "float" for parts in front}
        if found.cost == "milliseconds":  # of which no sum is made
            assert predicted is None
            assert "if its parts added up" not in lines
        else:
            assert predicted.get_linestyle() == "--"


@pytest.mark.parametrize(("options", "message"), [
    ([], "search: wants a goal: --bytes, --milliseconds or --margin"),
    (["--bytes", "12000", "--data", "cifar"], "--data: wants mnist:DIR, mnist5k or text:FILE; got 'cifar'")])
def test_what_is_no_search(folder, capsys, options, message):
    assert command(["search", *options]) == 2
    assert message in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize(("options", "message"), [
    (["--bytes", "0"], "argument --bytes: '0' is not more than 0"),
    (["--margin", "-1"], "argument --margin: "), (["--margin", "nan"], "'nan' is not a number of 0 or more"),
    (["--network", "resnet"], "argument --network: invalid choice: 'resnet'")])
def test_numbers_that_are_none(folder, capsys, options, message):
    with pytest.raises(SystemExit) as stopped:
        command(["search", *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


WRONG = {"seed": [1.5, -1, True, "0", None, float("inf"), 10**400], "recipe": [0, None, [], {}],
         "epochs": [1.5, True, "1"], "timed": [0, "no", None], "nbytes": [0.5, False],
         "own": [float("nan"), float("inf"), -0.1, "0.9", None, True, 10**400, []],
         "bytes": [0, -1, float("nan"), 1e300, "12"], "milliseconds": [1.0, float("nan"), -1]}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, some in WRONG.items() for value in some],
                         ids=lambda one: str(one)[:9])
def test_a_file_in_which_a_value_is_none_is_refused(fake, folder, name, value):
    """Each would else be a bug of ours, or silently another value, somewhere behind the reading."""
    fake(Goal(nbytes=30_000), Fake())
    path = folder / "search.json"
    found = json.loads(path.read_bytes())
    cell = found["cells"][3]
    place = {"own": "own", "bytes": "nbytes", "milliseconds": "milliseconds"}.get(name)
    (cell if place is None else cell["accuracies"])[place or name] = value
    path.write_text(json.dumps(found))
    with pytest.raises(nn.FileError, match=r"search\.json' is not of a run of ours; choose another --out"):
        fake(Goal(nbytes=30_000), Fake())
    assert path.read_text() == json.dumps(found)


def test_a_file_of_something_else_is_left_alone(few, folder, capsys):
    folder.mkdir()
    for name in ("search-mlp.safetensors", "search.json"):
        (folder / name).write_text("[]")
        assert few("--bytes", "70000") == 2
        assert "choose another --out" in capsys.readouterr().err
        assert (folder / name).read_text() == "[]"
