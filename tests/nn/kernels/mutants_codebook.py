"""Wrong codebook_gemm and kmeans1d, under the law that must kill each; they join MUTANTS."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nn.kernels import codebook_gemm, kmeans1d
from nn.kernels.kmeans1d import nearest
from nn.kernels.nbit_gemm import quantized
from nn.testing import laws, laws_float, laws_kmeans, laws_nbit
from tests.nn.kernels.mutants import CALLS, MUTANTS, arguments, output

# ---- codebook_gemm ----


@arguments(laws.permutes, codebook_gemm)
def forgets_the_odd_k(x, indices, codebook, **options):
    k = x.shape[1] // 2 * 2
    return (x[:, :k], indices[:, :k], codebook), options


@arguments(laws_float.is_exact_on_small_integers, codebook_gemm)
def keeps_the_codebook_in_half_precision(x, indices, codebook, **options):
    return (x, indices, (codebook * np.float32(1 + 2**-13)).astype(np.float32)), options


@arguments(laws_float.reads_both_code_widths, codebook_gemm)
def reads_the_halves_of_a_byte_in_the_other_order(x, indices, codebook, **options):
    if len(codebook) <= 16 and indices.shape[1] > 1:
        indices = indices.copy()
        indices[:, :2] = indices[:, 1::-1]
    return (x, indices, codebook), options


@arguments(laws_float.renames_codes, codebook_gemm)
def looks_three_bits_up(x, indices, codebook, **options):
    return (x, indices & 7, codebook), options


@output(laws_float.propagates_nan_and_infinity, codebook_gemm)
def lets_numbers_that_are_not_used_spoil_the_product(y, x, indices, codebook, **options):
    y += np.float32(0) * codebook.sum()


@output(laws_nbit.has_the_bits_of_the_specification, codebook_gemm)
def multiplies_by_one_scale_after_the_other(y, x, indices, codebook, **options):
    """The same sums of integers, rounded twice."""
    if options["activations"] != "int8" or not x.size:
        return y
    (q, s), (p, t) = quantized(x, x.shape[1]), quantized(codebook[None], len(codebook))
    return (q.astype(float) @ p[0].astype(float)[indices].T).astype(np.float32) * s * t


@output(laws_nbit.refuses_what_is_no_number, codebook_gemm)
def lets_an_infinity_be_an_integer(y, *args, **options):
    return y


# ---- kmeans1d ----


def kills(law):
    """Register centroids(values, k)."""
    def register(wrong):
        MUTANTS.append((law, kmeans1d, wrong.__name__, wrong, None))
        return wrong
    return register


def best(values, k):
    return kmeans1d.reference(values, k)


def lloyd(values, centroids):
    for _ in range(50):
        members = nearest(values, centroids)
        own = [values[members == j].astype(np.float64) for j in range(len(centroids))]
        centroids = np.array([v.mean() if len(v) else c for v, c in zip(own, centroids, strict=True)])
    return centroids.astype(np.float32)


@kills(laws.ignores_layout)
def takes_values_for_contiguous(values, k):
    return best(as_strided(values, strides=(4,)), min(k, len(np.unique(as_strided(values, strides=(4,))))))


@kills(laws.leaves_inputs)
def sorts_in_place(values, k):
    values.sort()
    return best(values, k)


@kills(laws.repeats)
def starts_at_random(values, k):
    return best(values, k) + np.float32(next(CALLS) % 100)


@kills(laws_kmeans.costs_what_the_specification_costs)
def means_are_one_bit_off(values, k):
    return np.nextafter(best(values, k), np.float32(np.inf))


@kills(laws_kmeans.is_a_global_optimum)
def goes_downhill_from_evenly_spaced_centroids(values, k):
    return lloyd(values, np.linspace(values.min(), values.max(), k))


@kills(laws_kmeans.beats_lloyd)
def takes_quantiles(values, k):
    points = np.unique(values)
    return points[(np.arange(k) + 0.5).astype(int) * len(points) // k].astype(np.float32)


@kills(laws_kmeans.gives_means_of_members)
def takes_the_middle_of_a_cluster(values, k):
    members = nearest(values, best(values, k))
    own = [values[members == j] for j in range(k)]
    return np.array([(v.min() + v.max()) / 2 for v in own], np.float32)


@kills(laws_kmeans.gives_distinct_values_back)
def differences_of_float32_sums(values, k):
    members, points = nearest(values, best(values, k)), np.sort(values)
    sums = np.concatenate([[0], np.cumsum(points, dtype=np.float32)])
    ends = np.cumsum(np.bincount(members, minlength=k))
    starts = np.concatenate([[0], ends[:-1]])
    return ((sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)).astype(np.float32)


@kills(laws_kmeans.ignores_order_and_repetition)
def counts_the_first_value_twice(values, k):
    return best(np.append(values, values[:1]), k)


@kills(laws_kmeans.scales)
def knows_two_decimals(values, k):
    rough = np.round(values, 2)
    return best(rough, min(k, len(np.unique(rough))))


@kills(laws_kmeans.shifts)
def does_not_centre(values, k):
    """Squares of what is far from 0, in float32: what is left of them is noise."""
    points = np.sort(np.unique(values))
    if k != 2 or len(points) < 3:
        return best(values, k)
    parts = [np.split(points, [i]) for i in range(1, len(points))]
    costs = [sum(np.sum(p * p) - np.sum(p) ** 2 / np.float32(len(p)) for p in pair) for pair in parts]
    return np.array([p.mean() for p in parts[int(np.argmin(costs))]], np.float32)
