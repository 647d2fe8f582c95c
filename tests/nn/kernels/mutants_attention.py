"""Wrong versions of attention and of its gradient, under the law that must kill each."""

import numpy as np

from nn.kernels import attention, attention_grad, thread_count
from nn.testing import laws_attention as laws
from tests.nn.kernels import mutants_pass
from tests.nn.kernels.mutants_pass import kills

BOTH = attention, attention_grad

for law, mutant in (
        (laws.is_near_float64, mutants_pass.rounds_to_half_precision),
        (laws.treats_nan_as_one_that_looks, mutants_pass.takes_nan_for_0),
        (laws.leaves_arguments, mutants_pass.works_in_place), (laws.repeats, mutants_pass.remembers),
        (laws.ignores_layout, mutants_pass.believes_that_memory_is_contiguous),
        (laws.handles_empty, mutants_pass.must_have_something)):
    kills(law, *BOTH)(mutant)


def in_blocks(right, q, k, v, mask, options, of_block):
    """Attention a block of 100 keys at a time, as of_block(m, total, acc, new) goes from one to the next."""
    top = np.full(q.shape[:2], -np.inf, np.float32)
    total, acc = np.zeros_like(top), np.zeros((*q.shape[:2], v.shape[2]), np.float32)
    for at in range(0, k.shape[1], 100):
        part = slice(at, at + 100)
        y, lse = right(q, k[:, part], v[:, part], *(m[..., part] for m in mask), **options)
        top, total, acc = of_block(top, total, acc, y, lse)
    with np.errstate(all="ignore"):
        y = np.where(total[..., None] > 0, acc / total[..., None], 0)
        return y.astype(np.float32), top + np.log(total)


@kills(laws.is_near_float64, attention)
def forgets_to_scale_what_was_summed(right, q, k, v, *mask, causal, **options):
    def of_block(top, total, acc, y, lse):
        new = np.maximum(top, lse)
        with np.errstate(invalid="ignore"):
            weight = np.nan_to_num(np.exp(lse - new), nan=0.0)
        return new, total + weight, acc + weight[..., None] * y

    if causal:
        return right(q, k, v, *mask, causal=causal, **options)
    return in_blocks(right, q, k, v, mask, options, of_block)


@kills(laws.is_near_float64, attention)
def lets_exponentials_overflow(right, q, k, v, *mask, scale, causal):
    if mask or causal:
        return right(q, k, v, *mask, scale=scale, causal=causal)
    with np.errstate(all="ignore"):
        weights = np.exp(q @ k.mT * np.float32(scale))
        total = weights.sum(-1, keepdims=True)
        return weights @ v / np.where(total == 0, 1, total), np.log(total[..., 0])


@kills(laws.is_near_float64, attention)
def gives_a_query_that_sees_nothing_the_mean_of_all(right, q, k, v, *mask, **options):
    y, lse = right(q, k, v, *mask, **options)
    blind = np.isneginf(lse)[..., None] & (k.shape[1] > 0)
    return np.where(blind, v.sum(1, keepdims=True) / np.float32(max(k.shape[1], 1)), y), lse


@kills(laws.is_near_float64, *BOTH)
def scales_the_mask_too(right, *arrays, scale, **options):
    *arrays, last = arrays
    floats = len(arrays) in (3, 6) and last.dtype == np.float32
    return right(*arrays, last * np.float32(scale) if floats else last, scale=scale, **options)


@kills(laws.treats_nan_as_one_that_looks, *BOTH)
def spreads_nan_over_everything(right, *arrays, **options):
    spoiled = any(np.isnan(a).any() for a in arrays)
    return tuple(np.full_like(y, np.nan) if spoiled else y for y in right(*arrays, **options))


@kills(laws.sees_no_future, *BOTH)
def does_not_see_the_present(right, *arrays, causal, **options):
    query = len(arrays) > 4
    q, k = arrays[query:][:2]
    if not causal or len(arrays) in (4, 7):
        return right(*arrays, causal=causal, **options)
    past = np.tri(q.shape[1], k.shape[1], -1, dtype=np.uint8)[None]
    return right(*arrays, past, causal=False, **options)


@kills(laws.takes_booleans_for_infinities, *BOTH)
def takes_true_for_a_key_to_ignore(right, *arrays, **options):
    *arrays, last = arrays
    return right(*arrays, 1 - last if last.dtype == np.uint8 else last, **options)


@kills(laws.joins_parts, attention)
def forgets_the_largest_in_the_logarithm(right, q, k, v, *mask, scale, causal):
    y, lse = right(q, k, v, *mask, scale=scale, causal=causal)
    return y, lse - np.float32(scale) * (q @ k.mT).max(-1, initial=-1e30)


@kills(laws.has_the_same_bits_on_any_threads, *BOTH)
def loses_the_last_to_a_second_thread(right, *arrays, **options):
    first, *more = right(*arrays, **options)
    if thread_count() > 1:
        first[..., -1:, :] += 1
    return first, *more


@kills(laws.is_near_float64, attention_grad)
def forgets_that_the_sum_moves(right, g, q, k, v, y, *more, **options):
    return right(g, q, k, v, np.zeros_like(y), *more, **options)


@kills(laws.is_near_float64, attention_grad)
def scales_the_keys_only(right, *arrays, scale, **options):
    dq, dk, dv = right(*arrays, scale=scale, **options)
    return dq / np.float32(scale), dk, dv
