"""bconv2d: the convolution of images of ±1 with filters of ±1, both held as bits, with zeros around them."""

import numpy as np

from ..geometry import Pair
from .arguments import U32
from .bgemm import bgemm, fits, no_bits_beyond
from .contract import Plan, operand
from .conv2d import conv2d
from .convolution import geometry, planned
from .kernel import kernel
from .native import from_buffer
from .operand import Operand
from .sign_bits import signs


@kernel(x_bits="u32[N,H,W,words]", w_bits=operand("u32[O,kH,kW,words]"), out="s32[N,H',W',O]")
def bconv2d(x_bits: np.ndarray, w_bits: np.ndarray, channels: int, *, stride: int | Pair = 1,
            padding: int | Pair = 0, dilation: int | Pair = 1) -> np.ndarray:
    """conv2d of ±1 as bits: images uint32 (N, H, W, words), filters (O, kH, kW, words) → int32, exact.

    The bits of a pixel are those of its channels as `sign_bits` makes them, words = ⌈channels/32⌉; those
    beyond them must be 0. Around the images lie zeros, not +1: a tap there adds nothing, though no bit stands
    for 0 (Larq Compute Engine calls this zero padding, that with +1 one padding).
    `bconv2d.pack(w_bits, channels)` packs the filters.
    """
    w = signs(w_bits, channels).transpose(0, 3, 1, 2)
    y = conv2d.reference(signs(x_bits, channels), w, stride=stride, padding=padding, dilation=dilation)
    return y.astype(np.int32)


def _pack(w_bits: np.ndarray, channels: int) -> Operand:
    """The filters as the rows of an operand of bgemm, tap after tap; and sums (kH·kW, O) of the weights of
    each tap, which are what zero bits, the +1 of which no pixel is, add where a tap lies outside."""
    fits("bconv2d.pack", "w_bits", w_bits.shape, channels, "channels")
    no_bits_beyond("bconv2d", "w_bits", w_bits, channels, "channels")
    o, kh, kw, words = w_bits.shape
    taps = w_bits.reshape(o * kh * kw, words)
    sums = bgemm(np.zeros((1, words), U32), taps, channels).reshape(o, kh * kw).T
    rows = bgemm.pack(w_bits.reshape(o, kh * kw * words), 32 * kh * kw * words)
    return Operand(bconv2d, w_bits.shape, panels=rows.parts["panels"], sums=np.ascontiguousarray(sums),
                   channels=int(channels))


def _unpack(w: Operand) -> np.ndarray:
    o, kh, kw, words = w.shape
    rows = Operand(bgemm, (o, kh * kw * words), panels=w.parts["panels"])
    return rows.unpack().reshape(w.shape)


def _plan(who, x_bits, w_bits, channels, stride, padding, dilation) -> Plan:
    fits(who, "x_bits", x_bits, channels, "channels")
    o, kh, kw, words = w_bits
    at = geometry(who, (*x_bits[:3], channels), (o, channels, kh, kw), stride, padding, dilation, 1)
    return planned(who, at._replace(x=x_bits, w=(o, words, kh, kw)))  # to C a word is a channel


def _values(who, x_bits, w_bits, channels) -> None:
    for name, bits in (("x_bits", x_bits), ("w_bits", w_bits)):
        if isinstance(bits, np.ndarray):
            no_bits_beyond(who, name, bits, channels, "channels")


bconv2d.runs("nn_bconv2d(plan.c, channels, *w_bits.c, x_bits, out)", plan=_plan, pack=_pack, unpack=_unpack,
             values=_values, seen_by_c=lambda w: (*map(from_buffer, (w.parts["panels"], w.parts["sums"])),))
