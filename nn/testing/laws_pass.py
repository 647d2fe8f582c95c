"""The laws of the kernels of training (nn/testing/domain_pass.py), and what each of them has of its own."""

from __future__ import annotations

import numpy as np

from ..kernels import avg_pool2d, dequantize, max_pool2d, threads
from . import layouts
from .case import Case
from .guard import Frame
from .laws import Implementation, Law, obeys, same

Results = tuple[np.ndarray, ...]


def all_equal(got: Results, want: Results, what: str) -> None:
    """Every result equal in every entry, where NaN is equal to NaN."""
    if len(got) != len(want):
        raise AssertionError(f"{what}: {len(got)} results instead of {len(want)}")
    for i, pair in enumerate(zip(got, want, strict=True)):
        plain = [np.where(np.isnan(x), np.float32(np.nan), x) if x.dtype.kind == "f" else x for x in pair]
        same(*plain, f"{what}, result {i}")


def agrees_with_the_specification(f: Implementation, case: Case) -> None:
    """Every result is where its domain says that it must be: the same bits, or within a bound of float64."""
    got = f(case)
    wanted = f.domain.wanted(case, f.spec, got)
    if len(got) != len(wanted):
        raise AssertionError(f"{len(got)} results instead of {len(wanted)}")
    for i, (result, (want, bound)) in enumerate(zip(got, wanted, strict=True)):
        half_ulp = 0.0 if f.domain.exact else np.abs(want) * 2.0**-24 + 2.0**-150
        want = want if f.domain.exact else want.astype(np.float32)
        same(result, want, f"result {i}", np.asarray(bound) + half_ulp)


def treats_nan_as_the_specification(f: Implementation, case: Case) -> None:
    """A NaN among the arguments is one in the same entries of the results, and changes nothing in other
    channels."""
    args, rng = [a.copy() for a in case.args], case.rng()
    if not args[0].size:
        return
    at = tuple(rng.integers(0, args[0].shape))
    args[0][at] = np.nan
    spoiled = case.on(*args)
    got, want, clean = f(spoiled), f.spec(*spoiled.args, **spoiled.options), f(case)
    what = f"with NaN for the entry [{', '.join(map(str, at))}] of the first argument"
    for i, (result, wanted) in enumerate(zip(got, want, strict=True)):
        wrong = np.argwhere(np.isnan(result) != np.isnan(wanted))
        if len(wrong):
            here = tuple(wrong[0].tolist())
            raise AssertionError(f"{what}: result {i}[{', '.join(map(str, here))}] is {result[here]} instead "
                                 f"of {wanted[here]}")
    all_equal(*(tuple(np.delete(y, at[-1], axis=-1) for y in results) for results in (got, clean)),
              f"{what}: in other channels")


def leaves_arguments(f: Implementation, case: Case) -> None:
    """No argument is written to."""
    before = tuple(a.copy() for a in case.args)
    f(case)
    all_equal(case.args, before, "after the call")


def repeats(f: Implementation, case: Case) -> None:
    """Twice the same call gives twice the same bits."""
    all_equal(f(case), f(case), "called again")


def ignores_layout(f: Implementation, case: Case) -> None:
    """Strided, shifted, unaligned, reversed and transposed views give what contiguous copies give."""
    want = f(case)
    for layout in layouts.OF_MATRICES:
        args = [layout(a) if a.ndim > 1 or layout in layouts.OF_VECTORS else a for a in case.args]
        all_equal(f(case.on(*args)), want, f"with {layout.__name__} views for arguments")


def permutes(f: Implementation, case: Case) -> None:
    """Channels in another order give the results in that order, to the bit."""
    order = case.rng().permutation(case.args[0].shape[-1])
    want = tuple(np.ascontiguousarray(y[..., order]) for y in f(case))
    all_equal(f(f.domain.take(case, order)), want, "permuted")


def handles_empty(f: Implementation, case: Case) -> None:
    """Nothing in gives nothing out, or zeros."""
    for what, empty in f.domain.empties(case).items():
        all_equal(f(empty), f.spec(*empty.args, **empty.options), f"without {what}")


PASS_LAWS: tuple[Law, ...] = (
    agrees_with_the_specification, treats_nan_as_the_specification, leaves_arguments, repeats, ignores_layout,
    permutes, handles_empty)


# ---- of one kernel ----

def is_idempotent(f: Implementation, case: Case) -> None:
    """relu(relu(x)) = relu(x)."""
    (y,) = f(case)
    all_equal(f(case.on(y)), (y,), "applied to its result")


def is_the_adjoint(f: Implementation, case: Case) -> None:
    """⟨pool(x), g⟩ = ⟨x, gradient(g)⟩, in integers so small that nothing is rounded."""
    (h, w), rng = case.options["size"], case.rng()
    how = {name: case.options[name] for name in ("kernel_size", "stride", "padding")}
    pixels = int(np.prod(how["kernel_size"]))
    n, *_, c = case.args[0].shape
    x, g = ((rng.integers(-9, 10, shape) * pixels).astype(np.float32) for shape in ((n, h, w, c),
                                                                                    case.args[0].shape))
    if len(case.args) == 2:
        y, winner = max_pool2d.reference(x, **how)
        y[np.isneginf(y)] = 0     # of windows that see no pixel, which send nothing back
        (dx,) = f(case.on(g, winner))
    else:
        y = avg_pool2d.reference(x, **how)
        (dx,) = f(case.on(g))
    left, right = (np.sum(a.astype(np.float64) * b) for a, b in ((y, g), (x, dx)))
    if left != right:
        raise AssertionError(f"⟨pool(x), g⟩ = {left}, but ⟨x, gradient(g)⟩ = {right}")


def ignores_what_is_added_to_a_row(f: Implementation, case: Case) -> None:
    """softmax(x + a) = softmax(x), to the bit where x + a is exact: in integers and multiples of 1/8."""
    x, classes = case.args
    x = (np.clip(x, -60, 60) * 8).round().astype(np.float32) / 8
    more = case.rng().integers(-1000, 1001, x.shape[1]).astype(np.float32)
    all_equal(f(case.on(x + more, classes)), f(case.on(x, classes)), "with a number added to each row")


def is_odd_and_within_one(f: Implementation, case: Case) -> None:
    """erf(−x) = −erf(x), to the bit, and |erf x| ≤ 1."""
    (y,), (negated,) = f(case), f(case.on(-case.args[0]))
    all_equal((-negated,), (y,), "of −x")
    if not (np.abs(y) <= 1).all():
        raise AssertionError(f"an error function of {np.abs(y).max()}")


def may_overwrite_its_gradient(f: Implementation, case: Case) -> None:
    """With overwrite_g the results are the same, in the memory of g or not; nothing else is written to."""
    want, args = f(case), tuple(a.copy() for a in case.args)
    got = f(case.on(*args, overwrite_g=True))
    all_equal(got, want, "with overwrite_g")
    all_equal(args[1:], case.args[1:], "after the call with overwrite_g")


def takes_out(f: Implementation, case: Case) -> None:
    """The result goes where `out` says, and nothing around it changes."""
    (want,) = f(case)
    frame = Frame(want.shape, want.dtype, border=1 + case.seed % 40)
    (got,) = f(case, out=frame.window)
    if got is not frame.window or not frame.intact():
        raise AssertionError("out: not what was returned, or bytes outside of it were written")
    all_equal((np.ascontiguousarray(got),), (want,), "into a strided `out`")


def refuses_what_is_no_number(f: Implementation, case: Case) -> None:
    """NaN or an infinity anywhere among the reals raises ValueError: no integer stands for it."""
    (x,), rng = (case.args[0].copy(),), case.rng()
    if not x.size:
        return
    x[tuple(rng.integers(0, x.shape))] = what = rng.choice([np.nan, np.inf, -np.inf])
    try:
        f(case.on(x))
    except ValueError:
        return
    raise AssertionError(f"{what} became an integer")


def keeps_what_is_on_the_grid(f: Implementation, case: Case) -> None:
    """quantize(dequantize(q)) = q for every code q."""
    scale, zero = case.options["scale"], case.options["zero"]
    codes = np.arange(256, dtype=np.uint8).reshape(8, 32)
    x = dequantize.reference(codes, scale, zero)
    all_equal(f(case.on(x, clip=None)), (codes,), "of the reals that codes stand for")


def clips_codes(f: Implementation, case: Case) -> None:
    """A clip is that of the codes, at its ends and between: what a ReLU after the rounding would do, so that
    nothing is rounded twice."""
    (whole,) = f(case.on(*case.args, clip=None))
    low, high = sorted(case.rng().integers(0, 256, 2).tolist())
    for clip in ((low, high), (high, high), (low, 255), (0, high)):
        want = np.clip(whole, *clip).astype(np.uint8)
        all_equal(f(case.on(*case.args, clip=clip)), (want,), f"clipped to {clip}")


def commutes(f: Implementation, case: Case) -> None:
    """a + b = b + a, each on its own grid."""
    a, b = case.args
    names = [f"{x}_{of}" for x in "ab" for of in ("scale", "zero")]
    turned = {name: case.options[other] for name, other in zip(names, names[2:] + names[:2], strict=True)}
    all_equal(f(case.on(b, a, **turned)), f(case), "with a and b exchanged")


def keeps_constant_images(f: Implementation, case: Case) -> None:
    """The pool of an image of one code is that code, where what lies around is that code too."""
    code = case.options.get("zero", 0)
    x = np.full_like(case.args[0], code)
    (y,) = f(case.on(x))
    all_equal((y,), (np.full_like(y, code),), f"of images of nothing but {code}")


def permutes_filters(f: Implementation, case: Case) -> None:
    """All filters as those of one group, with zeros where they were not in it, in any order: the same."""
    order = case.rng().permutation(len(case.args[1]))
    (want,) = f(case)
    all_equal(f(f.domain.take(case, order)), (np.ascontiguousarray(want[..., order]),), "permuted")


def packs_filters(f: Implementation, case: Case) -> None:
    """Packed filters give the same, and unpack to what was packed."""
    packed = f.pack(*f.domain.to_pack(case))
    all_equal(f(case.on(case.args[0], packed)), f(case), "with packed filters")
    same(packed.unpack(), case.args[1], "packed and unpacked")


def has_the_same_bits_on_any_threads(f: Implementation, case: Case) -> None:
    """Two, three or five threads that share the rows give the bits that one gives."""
    with threads(1):
        want = f(case)
    with threads((2, 3, 5)[case.seed % 3], least_cycles=0):
        all_equal(f(case), want, "on several threads")


# ---- who obeys what ----

CONTRACT_LAWS: tuple[Law, ...] = (
    agrees_with_the_specification, leaves_arguments, repeats, ignores_layout, takes_out)
PATCHES_LAWS: tuple[Law, ...] = (*CONTRACT_LAWS, handles_empty)
INTEGER_LAWS: tuple[Law, ...] = (*PATCHES_LAWS, permutes)

obeys("relu", *PASS_LAWS, is_idempotent)
obeys("erf", *PASS_LAWS, is_odd_and_within_one)
obeys("softmax_cross_entropy", *PASS_LAWS, ignores_what_is_added_to_a_row)
for _name in ("batch_norm", "max_pool2d", "avg_pool2d", "softmax_cross_entropy_grad", "gelu", "gelu_grad"):
    obeys(_name, *PASS_LAWS)
for _name in ("relu_grad", "batch_norm_grad"):
    obeys(_name, *PASS_LAWS, may_overwrite_its_gradient)
for _name in ("max_pool2d_grad", "avg_pool2d_grad"):
    obeys(_name, *PASS_LAWS, is_the_adjoint)

obeys("im2col", *PATCHES_LAWS)
obeys("transpose", *PATCHES_LAWS)
obeys("qconv2d", *PATCHES_LAWS, permutes_filters, packs_filters)
obeys("qdepthwise_conv2d", *INTEGER_LAWS, packs_filters, has_the_same_bits_on_any_threads)
obeys("dequantize", *INTEGER_LAWS)
obeys("qmax_pool2d", *INTEGER_LAWS)
obeys("qavg_pool2d", *INTEGER_LAWS, keeps_constant_images)
obeys("quantize", *INTEGER_LAWS, refuses_what_is_no_number, keeps_what_is_on_the_grid, clips_codes)
obeys("requantize", *INTEGER_LAWS, clips_codes)
obeys("qadd", *INTEGER_LAWS, clips_codes, commutes)
