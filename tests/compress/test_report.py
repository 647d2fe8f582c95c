"""The report's bytes are the file's; certified errors hold."""

import json

import numpy as np
import pytest

import compress
import nn
from compress.sparse.csr import SparseWeight

RECIPES = {
    "float": None,
    "int8": compress.Quantize(),
    "pruned": compress.Prune(0.9),
    "both": [compress.Prune(0.5), compress.Quantize()],
    "mixed": {"conv1": compress.Quantize(), "conv2": compress.Prune(0.7)},
}


def model(recipe=None, width=0.5):
    made = nn.models.digits_cnn(width, rng=np.random.default_rng(0))
    return made if recipe is None else compress.prepare(made, recipe)


def images():
    return nn.data.digits().x_train[:32]


def table(text):
    """The rows of a printed report: name → numbers."""
    rows = {}
    for line in text.partition("\nin memory")[0].splitlines()[1:]:
        name, *cells = line.split()
        rows[name] = [int(cell.replace(",", "")) for cell in cells[:4]]
    return rows


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_items_and_header_sum_to_the_file(recipe, tmp_path):
    program = compress.convert(model(recipe), images())
    size = compress.save(program, tmp_path / "p")
    report = compress.report(program)
    content = (tmp_path / "p").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert report.on_disk == size == len(content)
    stored = json.loads(content[8 : 8 + length])
    stored.pop("__metadata__")
    first, last = stored.pop(".program")["data_offsets"]
    assert report.header == 8 + length + last - first
    for name, parts in report.items.items():
        mine = [
            t["data_offsets"] for key, t in stored.items() if key == name or key.rpartition(".")[0] == name
        ]
        assert sum(parts.values()) == sum(end - start for start, end in mine)
    sums = {layer: sum(parts.values()) for layer, parts in report.layers.items()}
    assert sum(sums.values()) == size
    assert set(sums) == {"conv1", "conv2", "conv3", "fc", "file"}
    fc = [parts for name, parts in report.items.items() if name.startswith("fc.")]
    assert sums["fc"] == sum(sum(parts.values()) for parts in fc)
    rows = table(str(report))
    assert rows["file"] == [size]
    assert rows["header"] == [report.header]
    assert sum(cells[-1] for name, cells in rows.items() if name != "file") == size
    assert f"in memory {program.nbytes:,} bytes; {program.macs:,} multiply-adds" in str(report)
    assert json.loads(json.dumps(report.to_json()))["on_disk"] == size


def test_bytes_by_hand():
    """fc: 10 × 128. int8: a byte a weight, a float32 scale an output. Of 90 % pruned 128 values of 4
    bytes, and for each a gap of 5 bits, and fillers, and a byte that says the 5.
    """
    items = {
        name: compress.report(compress.convert(model(recipe), images())).items["fc.weight"]
        for name, recipe in RECIPES.items()
    }
    assert items["float"] == {"payload": 4 * 1280}
    assert items["int8"] == {"payload": 1280, "tables": 4 * 10}
    gaps = items["pruned"].pop("indices")
    assert items["pruned"] == {"payload": 4 * 128, "tables": 1}
    assert 128 * 5 / 8 <= gaps <= 1.1 * 128 * 5 / 8


def test_wide_rows_need_wide_columns():
    for width, dtype in ((2**16, np.uint16), (2**16 + 1, np.int32)):
        w = np.zeros((1, width), np.float32)
        w[0, -1] = 1
        weight = SparseWeight(w)
        assert weight.arrays()["indices"].dtype == dtype
        assert weight.arrays()["indices"][0] == width - 1
        np.testing.assert_array_equal(weight.decode(), w)


def test_a_weight_of_integers_says_whether_its_sums_fit():
    program = compress.convert(model(RECIPES["mixed"]), images())
    report, layer = compress.report(program), compress.certify(program).layers["conv1"]
    assert report.sums == {"conv1.weight": {
        "int32": f"{layer.int32.headroom:.1f} bits",
        "int16": f"saturates ({100 * layer.saturating:.2g} % of the pairs)"}}
    head, first, *others = str(report).splitlines()
    assert head.endswith("int32 room  in 16 bits")
    assert first.endswith(f"{layer.int32.headroom:.1f} bits  {report.sums['conv1.weight']['int16']}")
    assert not [line for line in others if " bits" in line]
    assert json.loads(json.dumps(report.to_json()))["sums"] == report.sums
    plain = compress.report(compress.convert(model(), images()))
    assert plain.sums == {}
    assert "int32" not in str(plain)


def test_only_programs_have_one():
    with pytest.raises(TypeError, match=r"report: wants a Program \(from compress\.convert\); got DigitsCNN"):
        compress.report(model())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_measured_errors_are_within_the_certified(recipe):
    errors = compress.weight_errors(model(recipe))
    assert 0 <= errors.measured <= errors.certified
    assert (errors.measured > 0) == (recipe is not None)


def test_errors_by_hand():
    net = nn.Sequential(nn.Linear(2, 1, bias=False))
    net[0].weight.data[:] = [[3, 4]]
    compress.prepare(net, compress.Prune(0.5))
    errors = compress.weight_errors(net)
    assert errors.measured == pytest.approx(3 / 5)
    assert errors.certified == pytest.approx(np.sqrt(0.5))


def test_no_certificate_where_a_stage_has_none():
    class Unbounded(compress.Prune):
        def bound(self, w, state):
            return None

    errors = compress.weight_errors(model({"conv1": compress.Quantize(), "fc": Unbounded(0.5)}))
    assert errors.certified is None
    assert errors.measured > 0


def test_a_network_of_zeros_has_no_error():
    net = nn.Sequential(nn.Linear(2, 2, bias=False))
    net[0].weight.data[:] = 0
    compress.prepare(net, compress.Quantize())
    errors = compress.weight_errors(net)
    assert (errors.certified, errors.measured) == (0.0, 0.0)
