"""A number format, a technique and a lowering are added in a temporary folder, literally as the README says.
"""

import re
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import compress
import nn
from compress.formats.affine import Symmetric
from compress.formats.format import FORMATS, Format
from compress.lower.table import TABLE
from compress.pruning.pattern import PATTERNS
from compress.pruning.score import SCORES
from compress.ranges.observer import OBSERVERS
from compress.stored import STORED
from compress.testing import check, subjects

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ROOMS = ["stored.py", "transform.py", "chain.py", "state.py", "recipe.py", "schedule.py", "techniques",
         "testing", "lower", "program", "program/ops", "pruning", "simulate.py", "prepare.py", "convert.py",
         "report.py", "examples.py"]


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Adds the code of a section of the README as a file of one of the package's rooms, for one test."""
    before = [(registry, dict(registry)) for registry in (
        FORMATS, STORED, TABLE, OBSERVERS, SCORES, PATTERNS)]
    names = []

    def add(section: str, room: str, name: str):
        part = README.split(f"### {section}\n")[1].split("\n##")[0]
        (code,) = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        package = import_module(f"compress.{room}")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        names.append(f"compress.{room}.{name}")
        return import_module(names[-1])

    yield add
    for name in names:
        del sys.modules[name]
    for registry, those in before:
        registry.clear()
        registry.update(those)


def trained(recipe, x, y):
    """A small network, trained with these transforms, in evaluation mode."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, rng=rng), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                          nn.Flatten(), nn.Linear(72, 10, rng=rng))
    compress.prepare(model, recipe, x)
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    nn.train.fit(model, x, y, epochs=8, optimizer=optimizer, rng=rng, progress=False)
    return model.eval()


def runs(model, x, y, path):
    """The model's Program gives what the model gives, also when it comes back from a file."""
    program = compress.convert(model)
    compress.save(program, path)
    np.testing.assert_array_equal(compress.load(path)(x), program(x))
    with nn.no_grad():
        np.testing.assert_allclose(program(x), model(nn.Tensor(x)).data, atol=1e-4)
    assert nn.train.accuracy(program, x, y) > 0.6
    return program


@pytest.fixture(scope="module")
def images():
    digits = nn.data.digits()
    return digits.x_train[:256], digits.y_train[:256]


def test_a_number_format_is_one_file(added, images, tmp_path):
    added("To add a number format", "formats", "int5")
    report = check(compress.Quantize(weights="int5-block48"), examples=2)
    assert report, str(report)
    program = runs(trained(compress.Quantize(weights="int5-block48"), *images), *images, tmp_path / "p")
    weight = program.constants["5.weight"]
    assert weight.sizes()["payload"] == 10 * 72 * 5 // 8
    assert weight.sizes()["tables"] == 10 * 2 * 4
    assert set(np.unique(weight.codes())) <= set(range(-15, 16))
    assert re.search(r"5 = linear\(.*int5-block48 10×72", str(program))
    assert re.search(r"5 = gemm\(", str(program.bound))  # it has no kernel, and is printed so


def test_an_observer_is_one_file(added, images, tmp_path):
    added("To add an observer", "ranges", "percentile")
    x, recipe = images[0], compress.Quantize(ranges="percentile")
    rng = np.random.default_rng(0)
    model = compress.prepare(nn.Sequential(nn.Flatten(), nn.Linear(64, 9, rng=rng), nn.ReLU(),
                                           nn.Linear(9, 3, rng=rng)), recipe, x)
    made = np.maximum(x.reshape(-1, 64) @ model[1].weight.data.T + model[1].bias.data, 0)
    _, high = model.parametrization.ranges["2"]
    assert high == pytest.approx(np.quantile(made, 0.999), rel=0.03)
    assert high < made.max()
    runs(trained(recipe, *images), *images, tmp_path / "p")


def test_a_technique_is_one_file(added, images, tmp_path):
    module = added("To add a technique", "techniques", "sketch")
    assert "Sketch" in [type(stage).__name__ for subject in subjects() for stage in subject.stages]
    report = check(module.Sketch(), examples=2)
    assert report, str(report)
    program = runs(trained(module.Sketch(), *images), *images, tmp_path / "p")
    assert program.constants["5.weight"].sizes()["payload"] == 2 * 10 * 72 // 8
    assert program.constants["0.weight"].kind == "sketch"


class Minus(nn.Module):
    """−fc(x)."""

    def __init__(self):
        self.fc = nn.Linear(4, 3, rng=np.random.default_rng(0))

    def forward(self, x):
        return -self.fc(x)


def test_how_an_operation_is_lowered_is_one_file(added, tmp_path):
    x, model = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32), Minus()
    assert [call.op for call in compress.convert(model, x).calls] == ["linear", "numpy: neg"]
    added("To lower an operation", "lower", "negation")
    program = compress.convert(model, x)
    assert [call.op for call in program.calls] == ["linear", "scale"]
    np.testing.assert_array_equal(program(x), model(nn.Tensor(x)).data)
    compress.save(program, tmp_path / "p")
    np.testing.assert_array_equal(compress.load(tmp_path / "p")(x), program(x))


def test_every_file_of_the_rooms_is_loaded_and_every_technique_is_a_name_of_the_package():
    for room in ("formats", "techniques"):
        for path in (Path(compress.__file__).parent / room).glob("[!_]*.py"):
            assert f"compress.{room}.{path.stem}" in sys.modules
    for technique in compress.Transform.__subclasses__():
        if technique.__module__.startswith("compress.techniques.") and technique.__module__ in sys.modules:
            assert getattr(compress, technique.__name__) is technique


def test_no_other_room_knows_a_format():
    package = Path(compress.__file__).parent
    for path in (path for room in ROOMS for path in [package / room, *(package / room).glob("*.py")]):
        if path.suffix == ".py":
            known = r"\b(?:127|255)\b|np\.int8|UINT8|isinstance\(.*(?:Quantize|Symmetric)\b"
            found = re.findall(known, path.read_text(encoding="utf-8"))
            found = [] if path.name == "laws_quantize.py" else found  # the laws of integers
            assert not found, f"{path}: {found}"


@pytest.mark.parametrize(("options", "message"),
                         [({"bits": 17}, "a code has 1…16 bits; got 17"), ({"bits": 0}, "1…16"),
                          ({"bits": 4.0}, "1…16 bits; got 4.0"),
                          ({"bits": 4, "grouping": "row"}, "'channel' or the size of a block; got 'row'"),
                          ({"bits": 4, "grouping": 0}, "the size of a block; got 0")])
def test_a_format_that_cant_be_is_refused(options, message):
    with pytest.raises(ValueError, match=rf"^bad: .*{message}"):
        Format("bad", **options)
    assert "bad" not in FORMATS


def test_a_format_that_lacks_something_says_what():
    class Half(Format):
        def dequantize(self, codes, scale, zero=0):
            return codes * scale

    with pytest.raises(TypeError, match="Half: a subclass of Format needs fit_groups, error, quantize"):
        Half("half", bits=4)
    with pytest.raises(TypeError, match="Half: a subclass of Format needs fit, quantize"):
        Half("half", bits=4, grouping="tensor")
    assert "half" not in FORMATS


def test_a_second_format_of_a_name_is_refused():
    with pytest.raises(ValueError, match="int8: there is another format of this name"):
        Format("int8", bits=4)


@pytest.mark.parametrize(("weights", "error", "message"),
                         [("int9", ValueError, "no number format is called 'int9'; there are .*int8"),
                          ("uint8", ValueError, "uint8 is a format of activations"),
                          (np.int8, TypeError, "must be a Format or its name; got <class")])
def test_weights_of_what_is_no_format_are_refused(weights, error, message):
    with pytest.raises(error, match=message):
        compress.Quantize(weights=weights)


@pytest.mark.parametrize(("what", "choice"), [("score", "lamp"), ("pattern", "kernel")])
def test_a_score_and_a_pattern_are_a_file_each(added, what, choice):
    added(f"To add a {what}", "pruning", choice)
    others = {"pattern": "3x1", "score": "l1"}
    for technique in (compress.Prune(0.5, **{what: choice}),
                      compress.Prune(0.4, compress.Cubic(3), **{**others, what: choice})):
        report = check(technique, examples=2)
        assert report, str(report)


def test_a_stored_form_that_lacks_something_says_what():
    with pytest.raises(TypeError, match="Half: a subclass of Stored needs kind, operand, macs; see help"):
        class Half(compress.Stored):
            parts, kernel, decode = {}, nn.kernels.gemm, lambda self: None
    with pytest.raises(TypeError, match="Thief: a file's 'csr' is SparseWeight already"):
        class Thief(STORED["dense"]):
            kind = "csr"
    assert STORED["csr"].__name__ == "SparseWeight"


def test_a_transform_that_lacks_something_says_what():
    with pytest.raises(TypeError, match="Half: a subclass of Transform needs project, rescaled, encode"):
        class Half(compress.Transform):
            def fit(self, w, context):
                return None


def test_what_only_looks_like_a_transform_is_refused_and_told_what_to_inherit():
    class Duck:
        keeps = makes = frozenset()
        fit = project = update = rescaled = encode = bound = lambda self, *args: None

    with pytest.raises(TypeError, match=r"no transform: .*a subclass of compress\.Transform"):
        compress.Chain([Duck()])
    with pytest.raises(TypeError, match=r"Recipe: .*got .*a subclass of compress\.Transform"):
        compress.Recipe(Duck())


@dataclass(frozen=True, repr=False)
class PowersOfTwo(Format):
    """Code 0 is 0, ±(1 + e) is ±scale · 2^−e: a format whose values are no multiples of a step."""

    def fit_groups(self, groups):
        largest = np.abs(groups).max(axis=1, initial=0).astype(np.float32)
        return np.where(largest > 0, np.maximum(largest, 2.0**-120), 1).astype(np.float32)

    def quantize(self, x, scale, zero=0):
        ratio = np.minimum(np.abs(x) / scale, 1)
        exponent = np.clip(np.rint(-np.log2(np.maximum(ratio, 2.0**-30))), 0, self.highest - 1)
        return (np.sign(x) * np.where(ratio < 2.0**-self.highest, 0, 1 + exponent)).astype(self.dtype)

    def dequantize(self, codes, scale, zero=0):
        return np.sign(codes) * np.ldexp(np.float32(2), -np.abs(codes.astype(int))).astype(np.float32) * scale

    def error(self, w, scales):
        return scales * 0.5


@pytest.mark.parametrize(
    "make", [lambda: PowersOfTwo("powers", bits=3), lambda: PowersOfTwo("powers", bits=4, grouping=5),
             lambda: Symmetric("blocks", bits=4, grouping=32), lambda: Symmetric("two bits", bits=2)],
    ids=["powers of two", "blocks of powers", "blocks", "two bits"])
def test_formats_of_other_values_and_of_blocks_obey_the_laws(added, make):
    report = check(compress.Quantize(weights=make()), examples=2)
    assert report, str(report)
