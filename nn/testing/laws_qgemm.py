"""The laws of qgemm alone: zero points, the corners where int16 would saturate, wrap-around, requantisation.

acc = Σ (a − a_zero)·(b − b_zero) + bias, exact modulo 2³²; with a scale, clamp(rint(acc·scale) + out_zero),
the product in float32 (Jacob et al. 2018, eq. 5; ONNX QLinearMatMul).
"""

from __future__ import annotations

import math

import numpy as np

from . import layouts
from .case import Case, integers
from .laws import LAWS, Implementation, obeys, same


def shifts_zero_points(f: Implementation, case: Case) -> None:
    """f(A+1, a_zero+1) = f(A, a_zero), and the same for B: only the differences to the zero points count."""
    a, b = case.args
    top = int(np.iinfo(a.dtype).max) - 1
    a, a_zero = np.minimum(a, top), min(case.options.get("a_zero", 0), top)
    b, b_zero = np.minimum(b, 126), np.minimum(case.options.get("b_zero", 0), 126)
    case = case.on(a, b, a_zero=a_zero, b_zero=b_zero)
    want = f(case)
    same(f(case.on(a + a.dtype.type(1), b, a_zero=a_zero + 1)), want, "A and a_zero both up by 1")
    same(f(case.on(a, b + np.int8(1), b_zero=b_zero + 1)), want, "B and b_zero both up by 1")


def signed_equals_unsigned(f: Implementation, case: Case) -> None:
    """u8 and s8 are the same numbers 128 apart: flipping the top bit and moving a_zero changes nothing."""
    a, b = case.args
    if "scale" in case.options:
        case = case.on(a, b, out_dtype=case.options.get("out_dtype", a.dtype))   # not the other one's default
    flipped = a.view(np.uint8) ^ np.uint8(0x80)
    other, move = (flipped.view(np.int8), -128) if a.dtype == np.uint8 else (flipped, 128)
    same(f(case.on(other, b, a_zero=case.options.get("a_zero", 0) + move)), f(case), f"A as {other.dtype}")


def never_saturates(f: Implementation, case: Case) -> None:
    """Constant and alternating operands where the sum of two products leaves int16, against int64 arithmetic.

    255·(64+64) = 32,640 and 127·128·2 = 32,512 fit in int16; 255·(65+64) and 128·128·2 = 32,768 do not.
    """
    m, k, n = (max(size, 1) for size in f.domain.shape(case))
    even = np.arange(k) % 2 == 0
    heights = (255, 127, 128, 126, 0) if case.args[0].dtype == np.uint8 else (-128, 127, -127, 64, 0)
    rows = [np.full(k, h) for h in heights] + [np.where(even, heights[0], heights[1])]
    depths = ((-128, -128), (127, 127), (127, -128), (0, -128), (127, 1), (64, 64), (65, 64), (-64, -64),
              (-65, -64))
    columns = [np.where(even, *pair) for pair in depths]

    def holds_for(a: list, b: list, what: str) -> None:
        a = np.array(a)[np.arange(m) % len(a)]
        b = np.array(b)[np.arange(n) % len(b)].T
        got = f(Case((a.astype(case.args[0].dtype), np.ascontiguousarray(b, np.int8))))
        same(got, (a @ b).astype(np.int32), what)

    holds_for(rows, columns, "at the corners of int16")
    for pair, column in zip(depths, columns, strict=True):     # alone, because packers look at a whole weight
        holds_for(rows, [column], f"with all pairs of weights {pair}")


def wraps_modulo_2_32(f: Implementation, case: Case) -> None:
    """A bias at the ends of int32 makes the sum wrap around, as int32 addition does, and never saturate."""
    n, rng = f.domain.shape(case)[2], case.rng()
    bias = rng.choice(np.array([2**31 - 1, -2**31, 2**31 - 1000, -2**31 + 1000], np.int32), n)
    a, b = (x.astype(np.int64) for x in case.args)
    product = (a - case.options.get("a_zero", 0)) @ (b - case.options.get("b_zero", np.int64(0)))
    want = (product + bias).astype(np.uint64).astype(np.uint32).view(np.int32)
    got = f(case.on(*case.args, bias=bias, scale=None, out_zero=0, out_dtype=None, clip=None,
                    rounding="float"))
    same(got, want, "with a bias at the ends of int32")


def is_linear_in_weights(f: Implementation, case: Case) -> None:
    """f(A, B₁ + B₂) = f(A, B₁) + f(A, B₂), and an identity for A gives B back."""
    a, b = case.args
    mask = case.rng().integers(-128, 128, b.shape).astype(np.int8)
    whole, low, high = (f(Case((a, w), {"a_zero": case.options.get("a_zero", 0)}))
                        for w in (b, b & mask, b & ~mask))     # no bit in both: b = (b & mask) + (b & ~mask)
    same(low + high, whole, "the sum of two products")
    same(f(Case((np.eye(len(b), dtype=a.dtype), b))), b.astype(np.int32), "with A the identity")


def reads_options_anew(f: Implementation, case: Case) -> None:
    """Options changed in place between two calls are seen: what a packed weight remembers is never stale."""
    weight = case.args[1:] if f.pack is None else [f.pack(*f.domain.to_pack(case))]
    own = layouts.every_other if case.seed % 2 else np.copy
    options = {name: own(v) if isinstance(v, np.ndarray) else v for name, v in case.options.items()}
    options["bias"] = own(np.arange(f.domain.shape(case)[2], dtype=np.int32) * 100)
    call = case.on(case.args[0], *weight, **options)
    f(call)
    for v in options.values():
        if isinstance(v, np.ndarray):
            v[...] = v[::-1].copy()
    same(f(call), f.spec(*case.args, **options), "with its options reversed in place since the last call")


# ---- requantisation ----

def requantised(f: Implementation, case: Case, values: np.ndarray, **options) -> np.ndarray:
    """What f makes of these int32 accumulators: they come in as the bias of a product that is zero."""
    k, n = case.args[1].shape[0], len(values)
    a, b = np.full((1, k), 3, np.uint8), integers(case.rng(), (k, n), np.int8, "uniform")
    return f(Case((a, b), {"a_zero": 3, "bias": np.asarray(values).astype(np.int32), **options}))[0]


def rounds_ties_to_even(f: Implementation, case: Case) -> None:
    """acc·½ for odd acc lies between two integers: the even one is taken, as by Python's round."""
    values = np.arange(-101, 102)
    want = np.array([round(v / 2) for v in values.tolist()], np.int8)
    same(requantised(f, case, values, scale=0.5, out_dtype=np.int8), want, "accumulators -101..101 times 0.5")


def requantises_monotonically(f: Implementation, case: Case) -> None:
    """A larger accumulator never gives a smaller output, over all of int32; both ends are clamped."""
    rng = case.rng()
    drawn = [rng.integers(-2**31, 2**31, 50), rng.integers(-300, 300, 50), [-2**31, 0, 2**31 - 1]]
    values, out_dtype = np.sort(np.concatenate(drawn)), rng.choice([np.uint8, np.int8])
    low, high = np.iinfo(out_dtype).min, np.iinfo(out_dtype).max
    options = {"out_zero": int(rng.integers(low, high, endpoint=True)), "out_dtype": out_dtype}
    scale = float(10 ** rng.uniform(-9, 0))
    got = requantised(f, case, values, scale=scale, **options)
    if np.any(np.diff(got.astype(int)) < 0):
        raise AssertionError(f"scale {scale:.3g}, {options}: larger accumulators give smaller outputs: {got}")
    want = np.where(values > 0, high, np.where(values < 0, low, options["out_zero"])).astype(out_dtype)
    same(requantised(f, case, values, scale=1e30, **options), want, f"scale 1e30, {options}")


def requantises_in_float32(f: Implementation, case: Case) -> None:
    """rint(float32(acc)·float32(scale)), a scale for each column, int32 sampled at every size."""
    rng = case.rng()
    values = rng.integers(-2**31, 2**31, 200) >> rng.integers(0, 31, 200)
    aims = rng.uniform(-130, 130, len(values))                 # the range of int8, and just outside
    scale = np.abs(aims / np.where(values == 0, 1, values)) + 1e-12
    scale[::7] = np.array([0.5, 2.0 ** -10, 1e-38, 3e38, 1e-45])[np.arange(len(scale[::7])) % 5]
    ties = np.arange(5, 250, 4) * 2**23 + 1                    # float32 drops the 1; ·2⁻²⁴ is then a tie
    values = np.concatenate([values, ties])
    scale = np.concatenate([scale, np.full(len(ties), 2.0 ** -24)]).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        product = values.astype(np.float32) * scale
    want = np.clip(np.rint(product).astype(np.float64) - 3, -128, 127).astype(np.int8)
    got = requantised(f, case, values, scale=scale, out_zero=-3, out_dtype=np.int8)
    same(got, want, "each accumulator with a scale of its own")


# ---- in fixed point ----

def in_fixed_point(acc: int, scale: float) -> int:
    """acc · scale as gemmlowp has it (SaturatingRoundingDoublingHighMul, RoundingDivideByPOT), in Python's
    integers: written otherwise than nn/kernels/fixed_point.py."""
    fraction, exponent = math.frexp(scale)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, exponent = 2**30, exponent + 1
    acc = min(max(acc << max(exponent, 0), -2**31), 2**31 - 1)
    nudged = acc * multiplier + (2**30 if acc >= 0 else 1 - 2**30)
    upper = abs(nudged) // 2**31 * (1 if nudged >= 0 else -1)     # division in C goes towards zero
    mask = 2**max(-exponent, 0) - 1
    return (upper >> max(-exponent, 0)) + ((upper & mask) > (mask >> 1) + (upper < 0))


def near_ties(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """So many accumulators and scales, in float64: shifts from 31 to -30, multipliers at both ends of their
    range and one step beyond; products near integers and halves, in the range of int8 and just outside."""
    ends = [0.5, 0.5 + 2.0**-32, 0.75, 1 - 2.0**-31, 1 - 2.0**-33, 1 - 2.0**-53]
    fraction = np.where(rng.random(count) < 0.5, rng.choice(ends, count), rng.uniform(0.5, 1, count))
    scale = np.minimum(np.ldexp(fraction, rng.integers(-31, 31, count)), 2.0**29)
    aims = np.rint(rng.integers(-270, 270, count) / 2 / scale) + rng.integers(-1, 2, count)
    acc = np.where(rng.random(count) < 0.1, rng.choice([-2**31, 2**31 - 1, 0], count), aims)
    return np.clip(acc, -2**31, 2**31 - 1).astype(np.int64), scale


def rounds_twice_in_fixed_point(f: Implementation, case: Case) -> None:
    """rounding="fixed-point" gives the integers of gemmlowp, with scales of float64 and of float32."""
    acc, scale = near_ties(case.rng(), 400)
    for scales in (scale, scale.astype(np.float32)):
        want = [*map(in_fixed_point, acc.tolist(), scales.tolist())]
        got = requantised(f, case, acc, scale=scales, out_zero=-3, out_dtype=np.int8, rounding="fixed-point")
        same(got, np.clip(np.array(want) - 3, -128, 127).astype(np.int8), "each with a scale of its own")


def is_monotone_in_fixed_point(f: Implementation, case: Case) -> None:
    """In fixed point too a larger accumulator never gives a smaller output, nor is one off by 1 or more."""
    rng = case.rng()
    acc, scale = near_ties(rng, 100)
    scale = float(scale[0])
    steps = np.clip(np.rint(rng.integers(-256, 257, 200) / 2 / scale), -2**31, 2**31 - 1).astype(np.int64)
    acc = np.sort(np.clip(np.concatenate([acc, steps, steps + 1, steps - 1]), -2**31, 2**31 - 1))
    got = requantised(f, case, acc, scale=scale, out_dtype=np.int8, rounding="fixed-point").astype(int)
    if np.any(np.diff(got) < 0):
        raise AssertionError(f"scale {scale:.3g}: larger accumulators give smaller outputs: {got}")
    off = np.abs(got - np.clip(acc * scale, -128, 127)).max()
    if not off < 1:
        raise AssertionError(f"scale {scale:.3g}: an output is off by {off}")


def clips_to_codes(f: Implementation, case: Case) -> None:
    """clip=(low, high) clamps what there is without it to these codes: with low = out_zero, a ReLU."""
    rng, out_dtype = case.rng(), case.options.get("out_dtype", case.args[0].dtype)
    ends = np.iinfo(out_dtype)
    low, high = np.sort(rng.integers(ends.min, ends.max, 2, endpoint=True)).tolist()
    case = case.on(*case.args, scale=case.options.get("scale", 0.01), clip=None)
    same(f(case.on(*case.args, clip=(low, high))), np.clip(f(case), low, high), f"clip=({low}, {high})")


obeys("qgemm", *LAWS, shifts_zero_points, signed_equals_unsigned, never_saturates, wraps_modulo_2_32,
      is_linear_in_weights, reads_options_anew, rounds_ties_to_even, requantises_monotonically,
      requantises_in_float32, clips_to_codes, rounds_twice_in_fixed_point, is_monotone_in_fixed_point)
