"""A run that was killed and resumed ends in the same bits as one that was not."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nn
from nn.data import batches
from nn.parametrize import Parametrization
from tests.nn import killed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole():
    """The end of a run that knows nothing of checkpoints."""
    return killed.train()


@pytest.fixture
def fast(monkeypatch):
    """The disk may take its time where no process is killed."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def equal(end, whole):
    assert end.keys() == whole.keys()
    for name, value in whole.items():
        assert end[name].dtype == value.dtype, name
        assert end[name].tobytes() == value.tobytes(), name


def child(path, every, *where):
    """A run in a process of its own, once it is about to train."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.nn.killed", path, f"{path}.out", every, *where]
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def end_of(process):
    process.stdout.close()
    return process.wait(timeout=60)


# Killed


@pytest.mark.parametrize(
    ("where", "count", "warned"),
    [("fsync", 1, False), ("replace", 1, False), ("replace", 3, False), ("fsync", 3, False),
     ("replace", 4, False), ("fsync", 4, False), ("replace", 5, False), ("replace", 6, True)],
)  # fmt: skip
def test_killed_anywhere_in_a_write(tmp_path, whole, where, count, warned):
    """A write is: fsync of the file, replace (part → new), fsync of the folder, replace (path → previous),
    replace (new → path). In the first one there is nothing to become the previous one."""
    path = tmp_path / "run"
    assert end_of(child(path, 7, where, count)) == -signal.SIGKILL
    if warned:
        with pytest.warns(UserWarning, match=r"run is missing; going on from .*run\.previous"):
            end = killed.train(path, 7)
    else:
        end = killed.train(path, 7)
    equal(end, whole)
    assert {file.name for file in tmp_path.iterdir()} == {"run", "run.previous"}


def test_killed_at_random_moments(tmp_path, whole):
    path, moments = tmp_path / "run", random.Random()
    for _ in range(4):
        process = child(path, 1)
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        if end_of(process) == 0:    # it was done before that
            break
    assert end_of(child(path, 1)) == 0
    end = nn.load(f"{path}.out")
    equal({name: end[name] for name in whole}, whole)


# Stopped at every step, in this process


class Stop(Exception):
    pass


def stopped_at(step, path, every, **changes):
    def stop(now, loss):
        if now == step:
            raise Stop

    with pytest.raises(Stop):
        killed.train(path, every, on_step=stop, **changes)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("every", [1, 3, 100])
def test_stopped_at_every_step(tmp_path, every):
    """Seven batches an epoch: within an epoch, at its end, before the first checkpoint, after the last."""
    whole = killed.train(epochs=2)
    for step in range(1, 15):
        path = tmp_path / f"run {step}"
        stopped_at(step, path, every, epochs=2)
        equal(killed.train(path, every, epochs=2), whole)


@pytest.mark.usefixtures("fast")
def test_stopped_again_and_again(tmp_path, whole):
    for step in (5, 6, 11, 28, 29, 42):
        stopped_at(step, tmp_path / "run", 2)
    equal(killed.train(tmp_path / "run", 2), whole)


@pytest.mark.usefixtures("fast")
def test_a_checkpoint_changes_nothing_and_a_finished_run_is_not_run_again(tmp_path, whole):
    steps = []
    for _ in range(2):
        end = killed.train(tmp_path / "run", 10, on_step=lambda step, loss: steps.append(step))
        equal(end, whole)
    assert steps == list(range(1, 43))


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM])
def test_any_generator(tmp_path, bits):
    whole = killed.train(epochs=2, rng=np.random.Generator(bits(0)))
    stopped_at(9, tmp_path / "run", 4, epochs=2, rng=np.random.Generator(bits(0)))
    equal(killed.train(tmp_path / "run", 4, epochs=2, rng=np.random.Generator(bits(0))), whole)


@pytest.mark.usefixtures("fast")
def test_two_runs_after_each_other(tmp_path):
    """The second one is killed; then both are called again, the first one being over."""

    def both(folder, stop=None):
        model, (x, y) = killed.network(), killed.data()
        settings = {"epochs": 2, "progress": False, "rng": np.random.default_rng(0)}
        settings["optimizer"] = nn.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
        nn.manual_seed(0)
        nn.train.fit(model, x, y, **settings, checkpoint=folder and folder / "first")
        nn.train.fit(model, x, y, **settings, checkpoint=folder and folder / "second", every=1, on_step=stop)
        return model.state_dict()

    def stop(step, loss):
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        both(tmp_path, stop)
    equal(both(tmp_path), both(None))


@pytest.mark.usefixtures("fast")
def test_what_an_optimizer_trains_in_place_of_a_weight_is_restored(tmp_path):
    class Scaled(Parametrization):
        """A parametrization that trains a factor and leaves the weight alone."""

        def __init__(self):
            self.factor = nn.Parameter(np.ones((), np.float32))

        def project(self, p):
            return p.detach() * self.factor

        def trainables(self, p):
            return [self.factor]

        def state_arrays(self):
            return {}

        def load_state(self, arrays):
            assert arrays == {}

    def scaled():
        model = nn.Sequential(nn.Linear(6, 3, rng=np.random.default_rng(0)))
        model[0].weight.parametrization = Scaled()
        return model

    whole, again = scaled(), scaled()
    end = killed.train(model=whole)
    stopped_at(9, tmp_path / "run", 1, model=scaled())
    equal(killed.train(tmp_path / "run", model=again), end)
    assert whole[0].weight.parametrization.factor.data == again[0].weight.parametrization.factor.data != 1


@pytest.mark.usefixtures("fast")
def test_a_generator_that_others_draw_from_too(tmp_path):
    def run(path=None, stop=None):
        rng = np.random.default_rng(0)

        def on_step(step, loss):
            rng.random()
            if step == stop:
                raise Stop

        return killed.train(path, 1, epochs=2, rng=rng, on_step=on_step)

    with pytest.raises(Stop):
        run(tmp_path / "run", 5)
    equal(run(tmp_path / "run"), run())


@pytest.mark.usefixtures("fast")
def test_the_bar_goes_on_too(tmp_path, capsys):
    stopped_at(9, tmp_path / "run", 4, epochs=2)
    killed.train(tmp_path / "run", 4, epochs=2, progress=True)
    first = capsys.readouterr().err.strip().split("\r")[0]
    assert "8/14" in first


@pytest.mark.usefixtures("fast")
def test_a_rate_that_was_changed_by_hand_stays_changed(tmp_path):
    def run(path=None, stop=None):
        model = killed.network()
        optimizer = nn.optim.SGD(model.parameters(), 0.1)

        def on_step(step, loss):
            optimizer.lr = 0.1 / step
            if step == stop:
                raise Stop

        return killed.train(path, 1, model=model, optimizer=optimizer, schedule=None, on_step=on_step)

    with pytest.raises(Stop):
        run(tmp_path / "run", 9)
    equal(run(tmp_path / "run"), run())


def test_skipping_takes_the_batches_that_were_to_come():
    x, y = killed.data()
    at = nn.resume.Progress()
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    first = list(nn.train._rest_of_epoch(x, y, 16, rng, at))
    assert all((a[0] == b[0]).all() for a, b in zip(first, batches(x, y, 16, same), strict=True))
    now = rng.bit_generator.state
    at.step = 5
    rest = list(nn.train._rest_of_epoch(x, y, 16, rng, at))
    assert len(rest) == 2
    assert all((a[1] == b[1]).all() for a, b in zip(rest, first[5:], strict=True))
    assert rng.bit_generator.state == now
