"""Wrong Winograd convolutions under the law that must kill them; mutants.py has those of every kernel."""

from __future__ import annotations

import numpy as np

from nn.kernels import winograd_conv2d
from nn.testing import laws, laws_winograd
from tests.nn.kernels.mutants import MUTANTS, arguments, output, specification


@arguments(laws.permutes, winograd_conv2d)
def rounds_channels_down_to_a_multiple_of_4(x, w, **options):
    c = x.shape[3] // 4 * 4
    return (x[..., :c], w[:, :c]), options


@output(laws.equals_specification, winograd_conv2d)
def flips_a_sign_of_the_output_transform(y, x, w, **options):
    y[:, 1::2] *= -1


@output(laws.equals_specification, winograd_conv2d)
def turns_the_filters_upside_down(y, x, w, **options):
    return specification(winograd_conv2d)(x, w[:, :, ::-1], **options)


@output(laws.equals_specification, winograd_conv2d)
def leaves_the_row_of_a_tile_that_hangs_over(y, x, w, **options):
    if y.shape[1] % 2:
        y[:, -1] = 0


@output(laws_winograd.slides_with_the_image, winograd_conv2d)
def takes_the_wrong_pixel_of_every_tile(y, x, w, **options):
    y[:, 1::2, 1::2] = y[:, 1::2, 0::2][:, :, :y[:, 1::2, 1::2].shape[2]]


@arguments(laws_winograd.pads_with_zeros, winograd_conv2d)
def pads_one_column_too_few(x, w, padding=0, **options):
    rows, columns = np.broadcast_to(padding, 2)
    x = np.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
    x[:, :, x.shape[2] - int(columns):] = 1
    return (x, w), {**options, "padding": 0}


@output(laws_winograd.adds_the_bias_last, winograd_conv2d)
def adds_the_bias_to_every_product(y, x, w, bias=None, **options):
    if bias is not None:
        y += 2 * bias


@arguments(laws_winograd.is_exact_on_small_integers, winograd_conv2d)
def rounds_to_half_precision(x, w, **options):
    return ((x * np.float32(1 + 2**-13)).astype(np.float32), w), options


@output(laws_winograd.is_exact_on_small_integers, winograd_conv2d)
def divides_quarters_too_early(y, x, w, bias=None, padding=0):
    third = np.float32(1) / np.float32(3)
    y = specification(winograd_conv2d)(x, w * third, padding=padding) * np.float32(3)
    return y if bias is None else y + bias


@output(laws_winograd.is_linear, winograd_conv2d)
def clips_like_a_relu(y, *args, **options):
    np.maximum(y, 0, out=y)


@output(laws_winograd.spoils_one_tile, winograd_conv2d)
def lets_nan_spread_over_the_image(y, *args, **options):
    y[np.isnan(y).any(axis=(1, 2, 3))] = np.nan


@output(laws_winograd.spoils_one_tile, winograd_conv2d)
def calls_nan_zero(y, *args, **options):
    return np.where(np.isnan(y), np.float32(0), y)


@output(laws_winograd.spoils_one_tile, winograd_conv2d)
def lets_nan_spread_over_channels(y, *args, **options):
    y[np.isnan(y).any(axis=3)] = np.nan


class ByThirds:
    """A packed operand that divides the filters by 3 and multiplies them again on the way out."""

    def __init__(self, w):
        self.w = (w / np.float32(3)).astype(np.float32)

    def unpack(self):
        return (self.w * np.float32(3)).astype(np.float32) * np.float32(1 + 2**-23)

    @property
    def nbytes(self):
        return self.w.nbytes


def drifts_with_every_packing(x, w, bias=None, *, padding=0, out=None):
    w = w.unpack() if isinstance(w, ByThirds) else w
    y = specification(winograd_conv2d)(x, w, bias, padding=padding)
    if out is None:
        return y
    out[...] = y
    return out


MUTANTS.append((laws_winograd.packs_for_good, winograd_conv2d, "drifts_with_every_packing",
                drifts_with_every_packing, ByThirds))
