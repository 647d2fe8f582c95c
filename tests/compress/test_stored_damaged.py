"""Every stored form there is, plain and coded, in a file that somebody damaged: it is refused, or it is a
weight that can be run; never a crash, another exception, or much memory."""

import random
from contextlib import suppress

import numpy as np
import pytest

import compress
import nn
from compress.formats.quantized import MaskedWeight, QuantizedWeight
from compress.program.call import Call
from compress.program.files import to_bytes
from compress.program.program import Program
from compress.program.value import Value
from compress.sparse.form import SparseForm
from compress.stored import CODED, STORED, Stored
from compress.techniques.shared import PrunedSharedWeight
from compress.testing.subject import subjects
from nn.sizes import Size
from tests.compress.test_coding import of_strings
from tests.compress.test_files import little_memory, parts, whole
from tests.nn.damage import edited, flipped, summed
from tests.nn.test_files_damaged import attempt

MUTATIONS = 1000  # of all forms together; twenty times as many, and under sanitizers, when this was written


def ours(table: dict) -> list[tuple]:
    """What the library has; tests register some that are wrong on purpose."""
    return [(name, one) for name, one in table.items() if one.__module__.startswith("compress.")]


def forms() -> dict[str, Stored]:
    """A small weight of each kind, and the same coded."""
    w = np.random.default_rng(0).standard_normal((12, 20)).astype(np.float32)
    pruned = w * (np.random.default_rng(1).random(w.shape) < 0.3)
    found: dict[str, Stored] = {}
    for kind, form in ours(STORED):
        if issubclass(form, QuantizedWeight):
            few = pruned if issubclass(form, MaskedWeight) else w
            scales = form.format.scales(few)
            found[kind] = form(form.format.to_codes(few, scales), scales)
        elif issubclass(form, SparseForm) and not issubclass(form, PrunedSharedWeight):
            found[kind] = form(w * np.tile([0, 0, 1, 1], (12, 5)) if kind == "2:4" else pruned)
    for subject in subjects():
        for array in (w, pruned):
            if 2 in subject.dimensions and subject.takes(array):
                parameter = subject.finished(array)
                stored = parameter.parametrization.encode(parameter.data)
                found.setdefault(stored.plain.kind, stored.plain.from_arrays(stored.held, stored.shape))
    coded = [coding.coded(type(one)).of(one) for one in found.values() if one.symbol_bits(one.held)
             for _, coding in ours(CODED)]
    return found | {one.kind: one for one in coded}


FORMS = forms()


def program(stored):
    """A layer with this weight, which reads reals, or makes integers of them where the form is for these."""
    dynamic = {"activations": "int8-dynamic"} if "shared-int8" in stored.kind else {}
    call = Call("linear", ("x",), "y", {"weight": "w"}, dynamic)
    return Program("p", {"x": Value("float32", (Size("N"), 20))}, {"y": "y"}, [call], {"w": stored})


def attacked(kind, count, rng, path):
    """Load and run `count` mutations of a file with a weight of this kind; how many were refused."""
    made, refused = program(FORMS[kind]), 0
    content = to_bytes(made)
    x = np.random.default_rng(2).standard_normal((3, 20)).astype(np.float32)
    wanted = made(x)
    with little_memory(), np.errstate(all="ignore"):
        for i in range(count):
            damaged = (flipped, edited, of_strings, of_strings)[i % 4](content, rng)
            path.write_bytes(damaged)
            found, said = attempt(lambda: compress.load(path))
            if said is not None:
                assert isinstance(said, nn.FileError), repr(said)
                assert len(str(said)) < len(str(path)) + 400
                refused += 1
            elif damaged != summed(damaged):
                assert found(x).tobytes() == wanted.tobytes()
            else:
                with suppress(ValueError):  # of an input that it does not take
                    found(x)
    return refused


def test_there_is_a_weight_of_every_kind():
    coders = {"", *(name for name, _ in ours(CODED))}  # what tests' coders code is of coding.py, too
    assert {kind for kind, _ in ours(STORED) if kind.partition("+")[2] in coders} <= set(FORMS)


@pytest.mark.parametrize("plain", sorted({one.plain.kind for one in FORMS.values()}))
def test_no_damage_does_more_than_fail(plain, tmp_path):
    kinds = [kind for kind in FORMS if kind.partition("+")[0] == plain]
    for kind in kinds:
        each = -(-MUTATIONS // len(FORMS))
        assert attacked(kind, each, random.Random(kind), tmp_path / "p") >= each / 4


@pytest.mark.parametrize("kind", FORMS)
def test_a_shape_that_lies_asks_for_no_memory(kind, tmp_path):
    """More channels, or weights, than there are bytes for: refused, or a weight of zeros but for a few."""
    _, manifest, arrays = parts(to_bytes(program(FORMS[kind])))
    for shape in ([2**31 - 1, 1], [2**28, 20], [2**40, 20], [12, 2**40], [0, 20]):
        manifest["weights"]["w"]["shape"] = shape
        (tmp_path / "p").write_bytes(whole(manifest, arrays))
        with little_memory(), suppress(nn.FileError):
            assert compress.load(tmp_path / "p").constants["w"].shape == tuple(shape)
