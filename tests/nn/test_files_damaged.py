"""Damaged files: a FileError, short and with the file's name, or the same numbers; nothing was changed."""

import gzip
import json
import os
import random
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

import compress
import nn
from nn import files
from nn.resume import Checkpoint, Progress
from tests.nn.damage import edited, flipped, join, split, summed


def rng(seed=0):
    return np.random.default_rng(seed)


def network():
    model = nn.Sequential(nn.Linear(4, 3, rng=rng()), nn.BatchNorm1d(3), nn.ReLU(),
                          nn.Linear(3, 2, rng=rng()))
    return compress.prepare(model, {"0": compress.Prune(0.3)})


def same(a, b):
    return a.keys() == b.keys() and all(
        (a[k].dtype, a[k].shape, a[k].tobytes()) == (b[k].dtype, b[k].shape, b[k].tobytes()) for k in a)


def refused(path, content, read):
    """What `read` gives for the content, or None where it says in a FileError what is wrong."""
    path.write_bytes(content)
    found, said = attempt(read)
    if said is not None:
        assert isinstance(said, nn.FileError), said
        assert path.name in str(said)
        assert len(str(said)) < len(str(path)) + 300
    return found


def attempt(read):
    """(what it gives, None) or (None, the ValueError that it raises)."""
    try:
        return read(), None
    except ValueError as error:
        return None, error


@pytest.fixture(scope="module")
def dice():
    return random.Random()    # each run of the tests draws others


def test_no_damage_to_weights_goes_unnoticed(tmp_path, dice):
    path = tmp_path / "weights"
    nn.save(network(), path)
    good, wanted = path.read_bytes(), nn.load(path)
    for _ in range(200):
        for damaged in (flipped(good, dice), edited(good, dice)):
            found = refused(path, damaged, lambda: nn.load(path))
            assert found is None or same(found, wanted) or damaged == summed(damaged)


def test_no_damage_to_a_program_goes_unnoticed(tmp_path, dice):
    model = nn.models.digits_cnn(0.05, rng=rng())
    compress.prepare(model, {"conv1": compress.Quantize(), "conv2": compress.Prune(0.7),
                             "fc": [compress.Prune(0.5), compress.Cluster(2)]})
    x, path = nn.data.digits().x_train[:8], tmp_path / "program"
    program = compress.convert(model, x)
    compress.save(program, path)
    good, wanted = path.read_bytes(), program(x)
    for _ in range(80):
        for damaged in (flipped(good, dice), edited(good, dice)):
            found = refused(path, damaged, lambda: compress.load(path))
            assert found is None or damaged == summed(damaged) or found(x).tobytes() == wanted.tobytes()


def test_no_damage_to_a_checkpoint_changes_anything(tmp_path, dice):
    def checkpoint():
        model, g = network(), rng(1)
        return Checkpoint(path, model, nn.optim.Adam(model.parameters()), g, {"x": "y"}, epoch=3)

    path = tmp_path / "run"
    nn.manual_seed(0)
    run = checkpoint()
    run.write(Progress(4, [(1.0, 0.5)], 0.3, 2.0, run.rng.bit_generator.state))
    good, run = path.read_bytes(), checkpoint()
    before = run._arrays(), run.rng.bit_generator.state, nn.random.state()
    for _ in range(60):
        for damaged in (flipped(good, dice), edited(good, dice)):
            path.write_bytes(damaged)
            found, said = attempt(run.resume)
            if "belongs to another run" not in str(said):
                found = refused(path, damaged, run.resume if found is None else lambda found=found: found)
            if found is None:
                now = run._arrays(), run.rng.bit_generator.state, nn.random.state()
                assert same(now[0], before[0])
                assert now[1:] == before[1:]
                assert path.read_bytes() == damaged
            else:
                run = checkpoint()
                nn.random.generator().bit_generator.state = before[2]


@pytest.mark.parametrize("kind", ["idx", "gzip", "cifar"])
def test_damaged_images_are_refused_or_images(tmp_path, dice, kind):
    path = tmp_path / "images"
    content = struct.pack(">BBBBIII", 0, 0, 8, 3, 5, 4, 3) + bytes(range(60))
    if kind == "cifar":
        content = bytes([3]) + bytes(3072) + bytes([9]) + bytes(3072)
    good = gzip.compress(content) if kind == "gzip" else content
    for _ in range(150):
        read = nn.data.read_cifar10 if kind == "cifar" else nn.data.read_idx
        found = refused(path, flipped(good, dice), lambda read=read: read(path))
        if kind == "cifar":
            assert found is None or (found[0].shape == (len(found[1]), 3, 32, 32) and found[1].max() < 10)
        else:
            assert found is None or found.nbytes < 10 * len(content)
    header = bytes([0, 0, 8, 255])    # 255 dimensions, of which the last has no length
    assert refused(path, header + b"\xff" * 4 * 254 + bytes(4), lambda: nn.data.read_idx(path)) is None


W = '"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HEADERS = {
    "no metadata": f'{{"__metadata__":null,{W}}}',
    "deep": f'{{"__metadata__":{{"espalier":"{"[" * 9000}"}},{W}}}',
    "70 dimensions": '{"w":{"dtype":"F32","shape":[' + "1," * 69 + '1],"data_offsets":[0,4]}}',
    "absurd and empty": '{"w":{"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],'
                        '"data_offsets":[0,0]}}',
    "a long dtype": f'{{"w":{{"dtype":"{"F" * 9000}","shape":[1],"data_offsets":[0,4]}}}}',
    "a long name": f'{{"{"w" * 9000}":{{"dtype":"F32","shape":[1],"data_offsets":[0,3]}}}}',
    "an entry beside ours": f'{{"__metadata__":{{"espalier":"{{}}","{"x" * 9000}":"y"}},{W}}}',
    "twice": f'{{{W},{W}}}',
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_what_no_file_of_anyone_holds_is_refused(tmp_path, header):
    data = b"" if "[0,0]" in header else bytes(4)
    content = len(header.encode()).to_bytes(8, "little") + header.encode() + data
    assert refused(tmp_path / "odd", content, lambda: nn.load(tmp_path / "odd")) is None


def test_the_names_of_our_entries_are_looked_at_like_what_they_hold(tmp_path):
    path = tmp_path / "weights"
    nn.save({"w": np.arange(4.0)}, path)
    good = path.read_bytes()
    for name in (b"crc32", b"espalier"):
        for i in range(len(name)):
            for bit in range(8):
                damaged = good.replace(name, name[:i] + bytes([name[i] ^ 1 << bit]) + name[i + 1:])
                assert refused(path, damaged, lambda: nn.load(path)) is None
    header, data = split(good)
    header["__metadata__"]["espalier"] = "{}"
    assert refused(path, join(header, data), lambda: nn.load(path)) is None


def test_files_of_others_need_no_checksum(tmp_path):
    path, w = tmp_path / "theirs", np.arange(6, dtype=np.float32)
    for metadata in (None, {}, {"format": "pt"}, {"format": "pt", "notes": '{"a": "b"}', "n": "3"}):
        safetensors.numpy.save_file({"w": w}, path, metadata)
        np.testing.assert_array_equal(nn.load(path)["w"], w)


# A checkpoint that is whole and wrong


@pytest.mark.parametrize("wrong", ["step", "log", "loss", "rng", "nn.random", "shuffled_from", "missing",
                                   "extra", "model", "dtype", "moments", "counts", "parametrization"])
def test_a_whole_checkpoint_with_a_wrong_content_is_found_before_anything_is_changed(tmp_path, wrong):
    path, x, y = tmp_path / "run", rng().normal(size=(10, 4)).astype(np.float32), np.arange(10) % 2

    def fit(stop=None):
        def stopped(step, loss):
            if step == stop:
                raise InterruptedError
        model, g = network(), rng(1)
        optimizer = nn.optim.Adam(model.parameters())
        made.extend((model, optimizer, g))
        nn.train.fit(model, x, y, epochs=2, optimizer=optimizer, rng=g, batch_size=4, every=1,
                     checkpoint=path, on_step=stopped)

    made = []
    nn.manual_seed(0)
    with pytest.raises(InterruptedError):
        fit(stop=5)
    arrays, texts = files.read_arrays(path)
    progress = json.loads(texts["progress"])
    assert progress["step"] == 4
    if wrong in progress:
        progress[wrong] = {"step": -1, "log": [[1.0]], "loss": "much", "rng": {"bit_generator": "PCG64"},
                           "nn.random": 3, "shuffled_from": None}[wrong]
    texts["progress"] = json.dumps(progress)
    if wrong == "missing":
        del arrays["model/3.bias"]
    elif wrong == "extra":
        arrays["model/4.bias"] = np.zeros(2, np.float32)
    elif wrong == "model":
        arrays["model/3.bias"] = np.zeros(3, np.float32)
    elif wrong == "dtype":
        arrays["model/3.bias"] = arrays["model/3.bias"].astype(np.float64)
    elif wrong == "moments":
        arrays["optimizer/exp_avg.0"] = arrays["optimizer/exp_avg.0"][:1]
    elif wrong == "counts":
        arrays["optimizer/counts"] = -arrays["optimizer/counts"]
    elif wrong == "parametrization":
        mask = next(name for name in arrays if "mask" in name)
        arrays[mask] = arrays[mask][:1]
    files.write_arrays(path, arrays, texts)
    content, before = path.read_bytes(), (network().state_dict(), nn.random.state())
    made.clear()
    said = r"run: a whole file, but no checkpoint that fits this run"
    with pytest.raises(nn.FileError, match=said) as error:
        fit()
    assert len(str(error.value)) < len(str(path)) + 300
    model, optimizer, g = made
    assert same(model.state_dict(), before[0])
    assert optimizer.steps == 0
    assert g.bit_generator.state == rng(1).bit_generator.state
    assert nn.random.state() == before[1]
    assert path.read_bytes() == content


# What a kill left


def test_parts_that_nobody_writes_are_removed_by_the_next_save(tmp_path):
    path = tmp_path / "w [1]"
    for name in ("w [1].0123abcd.part", "w [1].part", "w 1.0123abcd.part", "w [1].notes.part"):
        (tmp_path / name).write_bytes(b"half")
    nn.save({"w": np.zeros(2)}, path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "w [1]", "w [1].part", "w 1.0123abcd.part", "w [1].notes.part"}


@pytest.mark.skipif(os.name == "nt", reason="files that are open are in no danger there")
def test_a_part_that_another_process_writes_stays_until_that_is_killed(tmp_path):
    path = tmp_path / "w"
    program = (f"from nn.files import replacing\nwith replacing({str(path)!r}) as file:\n"
               "    file.write(b'half'); file.flush(); print('writing', flush=True); input()")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe) as other:
        assert other.stdout.readline() == b"writing\n"
        nn.save({"w": np.zeros(2)}, path)
        assert len([*tmp_path.iterdir()]) == 2
        other.send_signal(signal.SIGKILL)
        other.wait()
    nn.save({"w": np.ones(2)}, path)
    assert [*tmp_path.iterdir()] == [path]


def test_two_who_save_at_once_both_save(tmp_path):
    path = tmp_path / "w"
    with files.replacing(path) as one:
        with files.replacing(path) as two:
            two.write(b"two")
        assert path.read_bytes() == b"two"
        one.write(b"one")
    assert path.read_bytes() == b"one"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("content", [b"\x02\x01", b"\x00\xff"])
def test_booleans_are_0_or_1(tmp_path, content):
    header = json.dumps({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path = tmp_path / "booleans"
    path.write_bytes(struct.pack("<Q", len(header)) + header + content)
    with pytest.raises(nn.FileError, match="booleans that are neither 0 nor 1"):
        nn.load(path)
