"""The stored forms of weights with zeros: each by each product, their bytes, the choice of both."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Prune
from compress.sparse import cost
from compress.sparse.bitmask import BitmaskWeight
from compress.sparse.blocks import EightRows, FourRows
from compress.sparse.columns import ColumnsWeight
from compress.sparse.csr import SparseWeight
from compress.sparse.form import blocks_of, values_in
from compress.sparse.gaps import GapsWeight
from compress.sparse.smallest import FORMS, forms, smallest
from compress.sparse.two_of_four import TwoOfFour
from compress.stored import as_matrix, read
from nn.kernels import gemm, spmm_bsr, spmm_csr, spmm_nm

SHAPES = [(1, 1), (3, 8), (10, 12), (9, 5), (6, 4, 3, 3), (8, 4, 1, 1)]


def sparse(shape, zeros, seed, style="element"):
    """A weight with about this fraction of zeros, single ones or whole blocks, or 2:4."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(shape).astype(np.float32)
    if style == "2:4":
        return Prune(pattern="2:4").encode(w, Prune(pattern="2:4").fit(w, compress.Context())).decode()
    matrix = as_matrix(w)
    heights = {"element": 1, "4x1": 4, "8x1": 8, "column": len(matrix)}[style]
    alive = rng.random((-(-len(matrix) // heights), matrix.shape[1])) >= zeros
    matrix *= np.repeat(alive, heights, axis=0)[:len(matrix)]
    return compress.stored.from_matrix(matrix, shape)


weights = st.builds(sparse, st.sampled_from(SHAPES), st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]),
                    st.integers(0, 2**31), st.sampled_from(["element", "4x1", "8x1", "column"]))
halves = st.builds(sparse, st.sampled_from([(3, 8), (10, 12), (8, 4, 1, 1), (5, 4, 3, 3)]), st.just(0.5),
                   st.integers(0, 2**31), st.just("2:4"))


@given(weights | halves)
def test_each_form_is_read_back_and_multiplied_by_each_product(w):
    x = np.random.default_rng(0).standard_normal((3, as_matrix(w).shape[1])).astype(np.float32)
    exact = x.astype(np.float64) @ as_matrix(w).T.astype(np.float64)
    bound = 1e-6 * (np.abs(x) @ np.abs(as_matrix(w).T)) + 1e-30
    for kind, form in forms(w).items():
        again = read(kind, {name: array.copy() for name, array in form.arrays().items()}, w.shape)
        np.testing.assert_array_equal(again.decode(), w)
        kernels = [gemm, spmm_csr, spmm_bsr, *([spmm_nm] if kind == "2:4" else [])]
        for kernel in kernels:
            operand = again.operand(kernel)
            assert (np.abs(kernel(x, operand) - exact) <= bound).all(), (kind, kernel.name)
            for name, told in again.told(kernel).items():
                np.testing.assert_array_equal(told(operand.unpack(), w.shape), again.held[name])


@given(weights | halves)
def test_bytes_are_those_of_the_formula_and_the_smallest_is_taken(w):
    n, alive = w.size, np.count_nonzero(w)
    found = {kind: form.nbytes for kind, form in forms(w).items()}
    assert found["bitmask"] == 4 * alive + -(-n // 8)
    columns = np.count_nonzero(as_matrix(w).any(axis=0))
    assert found["columns"] == 4 * len(w) * columns + -(-(n // len(w)) // 8)
    assert found["csr"] == 6 * alive + 4 * (len(w) + 1)
    assert found["gaps"] <= 4 * alive + -(-n // 8) + 1  # with gaps of one bit it is the mask
    if "2:4" in found:
        assert found["2:4"] == 4 * n // 2 + -(-n // 8)
    assert smallest(w).nbytes == min(found.values())


def test_blocks_take_one_index_for_their_rows():
    w = sparse((64, 256), 0.9, 0, "8x1")
    found = forms(w)
    assert smallest(w).kind == "bsr8"
    assert found["bsr8"].itemised()["indices"] < found["gaps"].itemised()["indices"] / 4
    assert isinstance(smallest(sparse((64, 256), 0.9, 0, "4x1")), FourRows)
    assert isinstance(smallest(sparse((64, 256), 0.9, 0)), GapsWeight)
    assert isinstance(smallest(sparse((64, 256), 0.9, 0, "column")), ColumnsWeight)
    assert isinstance(smallest(sparse((64, 256), 0.4, 0)), BitmaskWeight)
    assert isinstance(smallest(sparse((64, 256), 0.5, 0, "2:4")), TwoOfFour)


@given(st.sampled_from(SHAPES), st.sampled_from([0.2, 0.9, 1.0]), st.integers(0, 2**31),
       st.sampled_from([4, 8]))
def test_blocks_and_their_values_are_inverse(shape, zeros, seed, rows):
    flat = as_matrix(sparse(shape, zeros, seed)).ravel()
    positions = np.flatnonzero(flat)
    blocks, indices, indptr = blocks_of(positions, flat[positions], shape, rows)
    again = values_in(blocks, indices, indptr, flat.size // shape[0])
    np.testing.assert_array_equal(again[0], positions)
    np.testing.assert_array_equal(again[1], flat[positions])


@pytest.mark.parametrize(("zeros", "style", "kernel"), [
    (0.5, "element", gemm), (0.57, "element", gemm), (0.64, "element", spmm_csr),
    (0.1, "4x1", gemm), (0.4, "4x1", spmm_bsr), (0.9, "8x1", spmm_bsr), (0.5, "2:4", spmm_nm)])
def test_a_product_is_chosen_by_its_break_even(zeros, style, kernel):
    stored = smallest(sparse((128, 256), zeros, 1, style))
    assert stored.kernel_with(None) is kernel
    model = nn.Sequential(nn.Linear(256, 128))
    model[0].weight.data = stored.decode()
    x = np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)
    program = compress.convert(compress.prepare(model, Prune(pattern="2:4") if style == "2:4" else Prune(0.0),
                                                x))
    assert f" {kernel.name}(" in str(program.bind())
    with nn.no_grad():
        np.testing.assert_allclose(program(x), model.eval()(nn.Tensor(x)).data, rtol=1e-4, atol=1e-4)


def test_the_model_of_cost_by_hand():
    positions = np.flatnonzero(np.ones((4, 8)))
    dense, single, four, _ = found = cost.products(positions, (4, 8))
    assert [one.cost for one in found] == [32, cost.CSR * 32, cost.BLOCKS[4] * 32, cost.BLOCKS[8] * 64]
    assert single.break_even(dense) == pytest.approx(1 - 1 / cost.CSR)
    assert four.break_even(dense) == pytest.approx(1 - 1 / cost.BLOCKS[4])
    assert (cost.cheapest(found), cost.cheapest(found[1:])) == (dense, four)
    assert cost.cheapest(cost.products(positions[:3], (4, 8))).kernel is spmm_csr


def test_the_model_of_the_cost_of_convolutions_by_hand():
    positions, shape = np.flatnonzero(np.ones((64, 72))), (64, 8, 3, 3)
    dense, single, four, eight, columns = cost.convolutions(positions, shape)
    assert single.break_even(dense) == pytest.approx(1 - 1 / cost.CONVOLVED)
    assert four.break_even(dense) == pytest.approx(1 - (1 - cost.PATCH / 64) / cost.BLOCKS[4])
    assert columns.break_even(dense) == pytest.approx(1 - 1 / (1 + cost.GATHERED / 64))
    assert [one.zeros for one in (single, four, eight, columns)] == [0, 0, 0, 0]
    faster, single, *_ = cost.convolutions(positions, shape, dense=0.5)  # as Winograd's way may be
    assert single.break_even(faster) == pytest.approx(1 - 0.5 / cost.CONVOLVED)


@pytest.mark.parametrize(("zeros", "style", "rows"), [(0.5, "element", 1), (0.9, "element", 1),
                                                      (0.75, "4x1", 4)])
def test_the_report_tells_what_zeros_are_good_for(zeros, style, rows):
    model = nn.Sequential(nn.Linear(64, 64))
    model[0].weight.data = sparse((64, 64), zeros, 0, style)
    x = np.zeros((2, 64), np.float32)
    program = compress.convert(compress.prepare(model, Prune(0.0), x))
    found = compress.report(program).zeros["0.weight"]
    kernel = program.bound.steps[0].kernel
    assert found.product == kernel
    assert found.rows == rows or zeros == 0.5
    assert found.zeros == pytest.approx(zeros, abs=0.05) or zeros == 0.5
    assert (found.zeros > found.break_even) == (kernel != "gemm")
    assert found.measured is None
    measured = compress.report(program, measured=True)
    assert 0 <= measured.zeros["0.weight"].measured <= 1
    assert f"0.weight: {found.zeros:.0%}" in str(measured)
    assert ", on this machine" in str(measured)


def test_convolutions_with_few_zeros_are_direct():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, rng=rng))
    x = rng.standard_normal((2, 8, 6, 6)).astype(np.float32)
    dense = compress.convert(compress.prepare(model, Prune(0.3), x))
    assert "= conv2d(" in str(dense.bind())
    compress.unprepare(model)
    pruned = compress.convert(compress.prepare(model, Prune(0.95), x))
    assert "= sparse_conv2d(" in str(pruned.bind())
    bad = x.copy()
    bad[0, 0, 0, 0] = np.nan  # 0 · NaN is NaN, for whoever multiplies
    for program in (dense, pruned):
        with nn.no_grad():
            wanted = model.eval()(nn.Tensor(x)).data if program is pruned else None
        if wanted is not None:
            np.testing.assert_allclose(program(x), wanted, rtol=1e-4, atol=1e-4)
        assert np.isnan(program(bad)[0]).any()
        assert np.isfinite(program(bad)[1]).all()


@pytest.mark.parametrize(("form", "name"), [(form, name) for form in FORMS for name in form.parts])
def test_another_array_in_a_file_is_refused(form, name):
    w = sparse((8, 8), 0.5, 0, "2:4")
    w[:, 3] = 0
    arrays = {part: array.copy() for part, array in form(w).arrays().items()}
    wrongs = [arrays[name][:-1], np.append(arrays[name].ravel(), arrays[name].ravel()[:1]),
              np.zeros_like(arrays[name])]
    for wrong in wrongs:
        shape = arrays[name].shape if wrong.size == arrays[name].size else wrong.shape
        with pytest.raises(ValueError, match=f"^{form.kind} weight|^spmm_csr"):
            read(form.kind, arrays | {name: wrong.reshape(shape).astype(arrays[name].dtype)}, w.shape)


@pytest.mark.parametrize("form", [SparseWeight, GapsWeight, BitmaskWeight, FourRows, EightRows,
                                  ColumnsWeight])
def test_damage_anywhere_is_an_error_or_another_weight(form):
    """Every bit of every array flipped: what is read is what is written, or a ValueError."""
    w = sparse((5, 6), 0.6, 3)
    arrays = form(w).arrays()
    for name, array in arrays.items():
        raw = np.frombuffer(array.tobytes(), np.uint8)
        for byte, bit in product(range(len(raw)), range(8)):
            damaged = raw.copy()
            damaged[byte] ^= 1 << bit
            changed = np.frombuffer(damaged.tobytes(), array.dtype).reshape(array.shape)
            try:
                again = read(form.kind, arrays | {name: changed}, w.shape)
            except ValueError:
                continue
            for part, own in form(again.decode()).arrays().items():
                np.testing.assert_array_equal(own, again.arrays()[part])
