"""Programs in files: the same bits back, also in a new process; nothing that was damaged or edited gets in;
nothing half-written stays.
"""

import json
import os
import subprocess
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

import compress
import nn
from compress.program.files import to_bytes
from tests.compress.networks import networks

RECIPES = {
    "float": None,
    "int8": compress.Quantize(),
    "pruned": compress.Prune(0.5),
    "shared": compress.Cluster(3),
    "pruned-shared": [compress.Prune(0.5), compress.Cluster(2)],
    "mixed": {
        "conv1": compress.Quantize(),
        "conv2": compress.Prune(0.7),
        "fc": [compress.Prune(0.5), compress.Quantize()],
    },
}


def program(recipe=compress.Quantize(), width=0.1):  # noqa: B008
    model = nn.models.digits_cnn(width, rng=np.random.default_rng(0))
    if recipe is not None:
        compress.prepare(model, recipe)
    return compress.convert(model, nn.data.digits().x_train[:32])


def digits():
    return nn.data.digits().x_test[:40]


# There and back


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_same_bits_come_back(recipe, tmp_path):
    made, path = program(recipe), tmp_path / "p.safetensors"
    size = compress.save(made, path)
    again = compress.load(path)
    assert size == path.stat().st_size == len(to_bytes(made)) == compress.report(made).on_disk
    x = digits()
    np.testing.assert_array_equal(again(x), made(x))
    assert str(again) == str(made)
    assert (again.nbytes, again.macs, again.calls) == (made.nbytes, made.macs, made.calls)
    assert to_bytes(again) == path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@given(drawn=networks())
def test_random_networks_come_back(folder, drawn):
    rng = drawn.rng
    choices = [None, compress.Quantize(), compress.Prune(0.6)]
    recipe = {name: choices[rng.integers(3)] for name in drawn.layers()}
    if any(recipe.values()):
        compress.prepare(drawn.model, recipe)
    made = compress.convert(drawn.model, drawn.example)
    compress.save(made, folder / "p")
    np.testing.assert_array_equal(compress.load(folder / "p")(drawn.x), made(drawn.x))


def test_a_new_process_computes_the_same_bits(tmp_path):
    made = program(RECIPES["mixed"])
    compress.save(made, tmp_path / "p")
    code = (
        "import sys, numpy as np, compress, nn\n"
        "out = compress.load(sys.argv[1])(nn.data.digits().x_test[:40])\n"
        "np.save(sys.argv[2], out)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "p", tmp_path / "out.npy"], check=True, cwd=Path.cwd()
    )
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), made(digits()))


def test_any_tool_reads_the_arrays(tmp_path):
    import safetensors.numpy

    made = program()
    compress.save(made, tmp_path / "p")
    arrays = safetensors.numpy.load_file(tmp_path / "p")
    assert arrays["conv2.weight.values"].dtype == np.int8
    np.testing.assert_array_equal(arrays["conv2.weight.scale"], made.constants["conv2.weight"].scale)


def test_saving_is_deterministic():
    assert to_bytes(program()) == to_bytes(program())


@pytest.mark.parametrize(
    "wrong", [None, {}, nn.Sequential(), np.ones(3)], ids=["none", "dict", "module", "array"]
)
def test_only_programs_are_saved(wrong, tmp_path):
    with pytest.raises(TypeError, match="wants a Program"):
        compress.save(wrong, tmp_path / "p")
    assert not list(tmp_path.iterdir())


# Damage


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(nn.FileError) as caught:
        compress.load(path)
    assert str(caught.value).startswith(str(path))


def test_every_truncation_is_noticed(tmp_path):
    content = to_bytes(program(width=0.05))
    header = 8 + int.from_bytes(content[:8], "little")
    for end in {*range(0, header, 13), *range(header, len(content), 101), len(content) - 1}:
        refused(tmp_path / "p", content[:end])
    refused(tmp_path / "p", content + b"\0")


def test_every_flipped_bit_is_noticed(tmp_path):
    content = to_bytes(program(width=0.05))
    header = 8 + int.from_bytes(content[:8], "little")
    rng = np.random.default_rng(0)
    places = [*range(16), *rng.integers(0, header, 300), *rng.integers(header, len(content), 100)]
    for place in places:
        edited = bytearray(content)
        edited[place] ^= 1 << int(rng.integers(8))
        try:
            json.loads(edited[8:header])
        except ValueError:
            pass
        else:
            if (
                json.loads(edited[8:header]) == json.loads(content[8:header])
                and place < header
                and place >= 8
            ):
                continue  # white space after the header
        refused(tmp_path / "p", bytes(edited))


def test_files_that_are_something_else(tmp_path):
    path = tmp_path / "p"
    for content in (b"", b"\0" * 8, b"\xff" * 100, b"PK\x03\x04" + b"\0" * 50, os.urandom(1000)):
        refused(path, content)
    nn.save(nn.models.digits_mlp(0.1), path)
    with pytest.raises(nn.FileError, match=r"holds no Program of format 3 \(compress\.save writes one"):
        compress.load(path)


@pytest.mark.parametrize("before", ["espalier program 2", "another_name program 1", "espalier program 4"])
def test_a_file_of_another_format_says_which_and_what_to_do(before, tmp_path):
    (tmp_path / "p").write_bytes(nn.files.arrays_to_bytes({}, {"format": before, "program": "{}"}))
    name, _, version = before.split()
    said = rf"holds a Program of format {version} \({name}\), and this version reads format 3; make it anew"
    with pytest.raises(nn.FileError, match=said):
        compress.load(tmp_path / "p")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        compress.load(tmp_path / "none")
    with pytest.raises(OSError):  # noqa: PT011
        compress.load(tmp_path)


# Edits, with the checksum made right again


def parts(content):
    """The metadata of a file, its program's description, and the other arrays."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    entry = json.loads(header.pop("__metadata__")["espalier"])
    arrays = {
        name: np.frombuffer(
            content[8 + length + t["data_offsets"][0] : 8 + length + t["data_offsets"][1]],
            {"F32": np.float32, "I8": np.int8, "I32": np.int32, "U16": np.uint16, "U8": np.uint8}[t["dtype"]],
        ).reshape(t["shape"])
        for name, t in header.items()
    }
    return entry, json.loads(zlib.decompress(arrays.pop(".program").tobytes())), arrays


def whole(manifest, arrays, entry=None, packed=None):
    """A file that its writer would have written, of whatever is given."""
    packed = zlib.compress(json.dumps(manifest).encode()) if packed is None else packed
    arrays = {**arrays, ".program": np.frombuffer(packed, np.uint8)}
    return nn.files.arrays_to_bytes(arrays, {"format": "espalier program 3", **(entry or {})})


def leaves(tree, path=()):
    """Every place in a JSON value, containers too."""
    yield path
    if isinstance(tree, (dict, list)):
        for key, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(child, (*path, key))


def edited(tree, path, value):
    """A copy of a JSON value with one place replaced, or removed for value = …."""
    tree = json.loads(json.dumps(tree))
    if not path:
        return value
    *way, last = path
    inner = tree
    for key in way:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return tree


VALUES = (
    None,
    True,
    -1,
    0,
    3,
    2**31,
    2**63,
    10**400,
    1.5,
    1e-320,
    1e308,
    "",
    "x",
    "conv2.weight",
    [],
    [1],
    {},
    ...,
    [[]] * 3,
)


@contextmanager
def little_memory(megabytes=200):
    """A MemoryError for whoever asks for much more than there is now, as far as the system can say."""
    resource = pytest.importorskip("resource")
    if not Path("/proc/self/statm").exists():
        yield
        return
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + megabytes * 2**20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_the_limit_on_memory_limits():
    with little_memory(), pytest.raises(MemoryError):
        np.empty(2**32, np.uint8)    # more than is kept of freed memory


@pytest.mark.parametrize("recipe", ["int8", "mixed", "pruned"])
def test_no_edit_of_the_description_does_more_than_fail(recipe, tmp_path):
    """An edit still describes a program, or is a FileError: no other exception, no huge allocation."""
    _, manifest, arrays = parts(to_bytes(program(RECIPES[recipe], width=0.05)))
    path, rng, x = tmp_path / "p", np.random.default_rng(0), digits()[:2]
    places = list(leaves(manifest))
    loaded = 0
    with little_memory():
        for i in rng.permutation(len(places) * len(VALUES))[:300]:
            place, value = places[i // len(VALUES)], VALUES[i % len(VALUES)]
            if not place and value is ...:
                continue
            path.write_bytes(whole(edited(manifest, place, value), arrays))
            try:
                changed = compress.load(path)
            except nn.FileError:
                continue
            loaded += 1
            if [*changed.inputs] == ["x"] and changed.input_shape == (1, 8, 8):
                assert len(changed(x)) == 2
    assert loaded < 50


def test_edits_of_the_arrays(tmp_path):
    made = program(RECIPES["mixed"], width=0.1)
    _, manifest, arrays = parts(to_bytes(made))
    path = tmp_path / "p"
    path.write_bytes(whole(manifest, arrays))
    np.testing.assert_array_equal(compress.load(path)(digits()), made(digits()))
    for name, array in arrays.items():
        others = {
            "missing": None,
            "shorter": array[:-1],
            "longer": np.concatenate([array, array[:1]]),
            "float64": array.astype(np.float64),
            "of another rank": array[None],
        }
        if array.dtype == np.float32:
            others["not a number"] = np.full_like(array, np.nan)
            others["infinite"] = np.full_like(array, np.inf)
        if name.endswith("scale"):
            others["negative"], others["zero"] = -array, 0 * array
        if name.endswith("indptr"):
            others["falling"], others["from 1"] = array[::-1].copy(), array + 1
        if name.endswith("indices"):
            others["too large"] = array + np.uint16(1000)
            others["twice the same"] = np.repeat(array[::2], 2)[: len(array)]
            others["falling"] = array[::-1].copy()
        if name.endswith("mask"):
            others["all"], others["none"] = array | 255, array & 0
            others["one more"] = array | np.uint8(
                1 << int(np.flatnonzero(~np.unpackbits(array[:1])[::-1])[0])
            )
        if array.dtype == np.int32 and "bias" in name:
            others["too large"] = np.full_like(array, 2**31 - 1)
        for what, other in others.items():
            changed = {key: value for key, value in arrays.items() if key != name}
            if other is not None:
                changed[name] = other
            path.write_bytes(whole(manifest, changed))
            with pytest.raises(nn.FileError) as caught:
                compress.load(path)
            assert str(caught.value).startswith(f"{path}: "), (name, what)
    path.write_bytes(whole(manifest, {**arrays, "more": np.ones(3, np.float32)}))
    with pytest.raises(nn.FileError, match=r"nothing uses the constants \['more'\]"):
        compress.load(path)


def test_a_weight_that_says_it_is_huge_is_refused_without_trying(tmp_path):
    """Sparse weights need no bytes for their zeros: sizes are compared before anything is made."""
    _, manifest, arrays = parts(to_bytes(program(RECIPES["pruned"], width=0.05)))
    path = tmp_path / "p"
    for shape in ([2**31 - 1, 2**31 - 1], [2**30] * 4, [10, 2**31 - 1], [2**16, 2**16, 2**16, 2**16]):
        path.write_bytes(whole(edited(manifest, ("weights", "fc.weight", "shape"), shape), arrays))
        with little_memory(), pytest.raises(nn.FileError):
            compress.load(path)


@pytest.mark.parametrize(("entry", "packed"), [
    ({"format": "espalier program 4"}, None), ({}, b"{}"), ({}, zlib.compress(b"{")),
    ({}, zlib.compress(b"NaN")),
    ({}, zlib.compress(b"[" * 100_000)), ({}, zlib.compress(b"{}") + b"0"), ({}, zlib.compress(b"{}")[:-1]),
    ({}, zlib.compress(b" " * 2**24)), ({}, b"")],
    ids=["version", "not packed", "json", "nan", "deep", "more", "less", "long", "empty"])
def test_descriptions_that_are_none(entry, packed, tmp_path):
    _, manifest, arrays = parts(to_bytes(program(width=0.05)))
    with little_memory():
        refused(tmp_path / "p", whole(manifest, arrays, entry, packed))


def test_a_description_is_an_array_of_bytes(tmp_path):
    _, manifest, arrays = parts(to_bytes(program(width=0.05)))
    refused(tmp_path / "p", nn.files.arrays_to_bytes(arrays, {"format": "espalier program 3"}))
    words = np.frombuffer(zlib.compress(json.dumps(manifest).encode())[:-1] + b"00", np.int8)
    arrays[".program"] = words
    refused(tmp_path / "p", nn.files.arrays_to_bytes(arrays, {"format": "espalier program 3"}))


def test_small_files_are_mostly_weights(tmp_path):
    """The description of a network and the names of its arrays are less than two kilobytes of a file."""
    made = program()
    assert compress.report(made).header < 2000
