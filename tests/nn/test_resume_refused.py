"""Checkpoints that are damaged, missing, of another run or none at all; and disks that fail."""

import numpy as np
import pytest

import compress
import nn
from nn.parametrize import Parametrization
from nn.resume import Checkpoint, Progress, fingerprint, sampled
from tests.nn import killed

X, Y = killed.data()


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def run(tmp_path):
    """The path of a run that was stopped at step 9 of 14, with checkpoints of the steps 8 and 6."""

    def stop(step, loss):
        if step == 9:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        killed.train(tmp_path / "run", 2, epochs=2, on_step=stop)
    return tmp_path / "run"


def files(path):
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def steps_of(path, **changes):
    """Which steps are still done."""
    steps = []
    killed.train(path, 2, epochs=2, on_step=lambda step, loss: steps.append(step), **changes)
    return steps


# Damaged


def test_cut_anywhere_the_previous_one_is_used_and_that_is_said(run):
    good, before = run.read_bytes(), (run.parent / "run.previous").read_bytes()
    model = killed.network()
    optimizer, rng = nn.optim.Adam(model.parameters(), 0.02, weight_decay=1e-3), np.random.default_rng(3)
    settings = {"x": fingerprint(X), "y": fingerprint(Y), "epochs": "2", "batch_size": "16"}
    settings["schedule"] = sampled(nn.train.cosine)
    checkpoint = Checkpoint(run, model, optimizer, rng, settings)
    assert checkpoint.resume().step == 8
    lengths = [0, 1, 7, 8, 9, 100, *np.random.default_rng().integers(0, len(good), 20), len(good) - 1]
    damaged = [good[:length] for length in lengths]
    middle = len(good) // 2
    damaged += [good + b"\0", good[:middle] + bytes([good[middle] ^ 4]) + good[middle + 1 :]]
    for content in damaged:
        run.write_bytes(content)
        (run.parent / "run.previous").write_bytes(before)
        with pytest.warns(UserWarning, match=r"run: .*; going on from the checkpoint .*run\.previous"):
            progress = checkpoint.resume()
        assert progress.step == optimizer.steps == 6
        assert files(run) == {"run": before}    # the damaged one will not become the previous one


def test_a_cut_checkpoint_ends_in_the_same_bits(run):
    whole = killed.train(epochs=2)
    run.write_bytes(run.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="going on from the checkpoint before it"):
        end = killed.train(run, 2, epochs=2)
    assert all(end[name].tobytes() == value.tobytes() for name, value in whole.items())


def test_a_removed_one_is_said_too(run):
    run.unlink()
    with pytest.warns(UserWarning, match=r"run is missing; going on from .*run\.previous"):
        assert steps_of(run) == list(range(7, 15))


def test_both_removed_is_a_new_beginning(run):
    run.unlink()
    (run.parent / "run.previous").unlink()
    assert steps_of(run) == list(range(1, 15))


@pytest.mark.parametrize("previous", [True, False])
def test_without_a_whole_one_nothing_is_trained_and_nothing_overwritten(run, previous):
    for file in run.parent.iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    if not previous:
        (run.parent / "run.previous").unlink()
    there = files(run)
    with pytest.raises(nn.FileError, match="run: not a whole safetensors file"):
        steps_of(run)
    assert files(run) == there


@pytest.mark.parametrize("content", ["weights", "text"])
def test_other_files_are_left_alone(tmp_path, content):
    path = tmp_path / "model.safetensors"
    if content == "weights":
        nn.save(killed.network(), path)
    else:
        path.write_text("My notes")
    before = path.read_bytes()
    with pytest.raises(nn.FileError, match=r"model\.safetensors: "):
        killed.train(path)
    assert files(path) == {path.name: before}


def test_what_a_kill_left_beside_is_cleared_away(run):
    (run.parent / "run.new.1234abcd.part").write_bytes(b"half")
    (run.parent / "other.new.1234abcd.part").write_bytes(b"not ours")
    steps_of(run)
    assert set(files(run)) == {"run", "run.previous", "other.new.1234abcd.part"}


# Of another run


def wider():
    model = killed.network()
    return nn.Sequential(*list(model)[:4], nn.Linear(12, 4, rng=np.random.default_rng(0)))


def otherwise_built():
    model = killed.network()
    return nn.Sequential(*list(model)[:2], nn.Dropout(0.1), *list(model)[3:])


def otherwise_pruned():
    rng = np.random.default_rng(0)
    plain = killed.network()
    model = nn.Sequential(nn.Linear(6, 12, rng=rng), *list(plain)[1:4], nn.Linear(12, 3, rng=rng))
    return compress.prepare(model, compress.Prune(0.6))


def otherwise_begun():
    model = killed.network()
    model[4].bias.data += 1
    return model


OTHERS = {
    "wider": (lambda: {"model": wider()}, r"model was Sequential #\w+, is Sequential #\w+"),
    "built": (lambda: {"model": otherwise_built()}, "model was"),
    "views": (lambda: {"model": otherwise_pruned()}, "model was"),
    "weights": (lambda: {"model": otherwise_begun()}, r"beginning \(weights, optimizer, rng\) was #"),
    "seed": (lambda: {"rng": np.random.default_rng(4)}, "beginning"),
    "bits": (lambda: {"rng": np.random.Generator(np.random.MT19937(3))}, "beginning"),
    "x": (lambda: {"x": X + np.eye(100, 6, dtype=np.float32) * 1e-5}, r"x was float32\(100, 6\) #"),
    "y": (lambda: {"y": 2 - Y}, r"y was int64\(100,\) #"),
    "rows": (lambda: {"x": X[:50], "y": Y[:50]}, r"x was .*, is float32\(50, 6\) .*y was"),
    "epochs": (lambda: {"epochs": 3}, "epochs was 2, is 3; begin as that run did, or remove it"),
    "batch size": (lambda: {"batch_size": 20}, "batch_size was 16, is 20"),
    "schedule": (lambda: {"schedule": None}, r"schedule was \[1.0, .*, is none"),
    "shape": (lambda: {"schedule": lambda progress: 1 - progress}, r"schedule was \[1.0, .*, is \[1.0, "),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_of_another_run_is_refused(run, other):
    build, message = OTHERS[other]
    changes = build()
    model = changes.setdefault("model", killed.network())
    before, there = model.state_dict(), files(run)
    with pytest.raises(ValueError, match=f"belongs to another run: {message}"):
        killed.train(run, 2, **{"epochs": 2, **changes})
    assert files(run) == there
    assert all((model.state_dict()[name] == value).all() for name, value in before.items())


def test_a_previous_one_of_another_run_is_refused(run):
    run.write_bytes(b"cut")
    there = files(run)
    with pytest.raises(ValueError, match=r"run\.previous belongs to another run: epochs was 2, is 3"):
        killed.train(run, 2, epochs=3)
    assert files(run) == there


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda p: nn.optim.SGD(p, 0.02), r"optimizer was Adam\(lr=0.02, .*, is SGD\(lr=0.02, "),
        (lambda p: nn.optim.Adam(p, 0.01, weight_decay=1e-3), r"was Adam\(lr=0.02, .*, is Adam\(lr=0.01, "),
        (lambda p: nn.optim.Adam([*p][1:], 0.02, weight_decay=1e-3), "6 tensors, is .* 5 tensors"),
    ],
    ids=["kind", "rate", "tensors"],
)
def test_another_optimizer_is_refused(run, build, message):
    model = killed.network()
    with pytest.raises(ValueError, match=message):
        steps_of(run, model=model, optimizer=build(model.parameters()))


# What can't be written


def test_a_folder_that_is_not_there_is_found_out_before_the_training(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        steps_of(tmp_path / "nowhere" / "run")


def test_a_disk_that_fails_stops_the_run_and_leaves_the_checkpoint(run, monkeypatch):
    there, write = files(run), nn.files.write_bytes

    def full(path, content):
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr("nn.files.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        steps_of(run)
    assert files(run) == there
    monkeypatch.setattr("nn.files.write_bytes", write)
    assert steps_of(run) == list(range(9, 15))


def test_a_view_that_can_not_be_saved_is_named(tmp_path):
    class Silent(Parametrization):
        def __init__(self):
            self.seen = 0

    model = killed.network()
    model[0].weight.parametrization = Silent()
    with pytest.raises(TypeError, match=r"0\.weight\.parametrization: Silent has the attributes seen"):
        killed.train(tmp_path / "run", model=model)


@pytest.mark.parametrize("every", [0, -1, 2.5, "2"])
def test_every_is_a_count(tmp_path, every):
    with pytest.raises(ValueError, match="every must be a whole number >= 1"):
        killed.train(tmp_path / "run", every)


def test_progress_begins_at_nothing():
    assert Progress() == Progress(0, [], 0.0, 0.0, None)
