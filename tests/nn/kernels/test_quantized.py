"""The calls of an integer Program as kernels: what they refuse, and where they go on."""

import pickle

import numpy as np
import pytest

from nn import kernels

U8 = np.uint8
Q, X = np.arange(24, dtype=U8).reshape(4, 6), np.arange(24, dtype=np.float32).reshape(4, 6)
IMAGES = np.arange(2 * 4 * 4 * 6, dtype=U8).reshape(2, 4, 4, 6)
FILTERS, SCALES = np.ones((6, 3, 2, 2), np.int8), np.ones(6, np.float32)
HOW = {"kernel_size": 2, "stride": 2}
GOOD = {
    "quantize": {"x": X, "scale": 0.5, "zero": 3},
    "dequantize": {"q": Q, "scale": SCALES, "zero": 3},
    "requantize": {"q": Q, "scale": SCALES, "zero": 3, "out_zero": 7},
    "qadd": {"a": Q, "b": Q, "a_scale": 0.5, "a_zero": 3, "b_scale": 0.25, "b_zero": 0, "scale": 1.0,
             "zero": 9},
    "qmax_pool2d": {"x": IMAGES, **HOW},
    "qavg_pool2d": {"x": IMAGES, **HOW, "zero": 3},
    "im2col": {"x": IMAGES, "kernel_size": 2, "fill": 3},
    "qconv2d": {"x": IMAGES, "w": FILTERS, "bias": np.ones(6, np.int32), "groups": 2, "scale": SCALES,
                "out_zero": 3, "clip": (3, 200)},
    "qdepthwise_conv2d": {"x": IMAGES, "w": FILTERS[:, :1], "bias": np.ones(6, np.int32), "scale": SCALES},
}
BAD = [
    ("quantize", "x", np.array([1, np.nan], np.float32), ValueError, "NaN"),
    ("quantize", "x", np.array([1, np.inf], np.float32), ValueError, "infinity"),
    ("quantize", "x", Q, TypeError, "uint8"), ("quantize", "scale", 0.0, ValueError, "0.0"),
    ("quantize", "scale", 1e-42, ValueError, "1e-42"), ("quantize", "scale", 1e39, ValueError, r"1e\+39"),
    ("quantize", "scale", "1", TypeError, "str"), ("quantize", "zero", 256, ValueError, "256"),
    ("quantize", "zero", 1.5, TypeError, "float"),
    ("quantize", "clip", (3, 2), ValueError, r"\(3, 2\)"), ("quantize", "clip", (0, 256), ValueError, "256"),
    ("requantize", "clip", 7, TypeError, "7"), ("qadd", "clip", (0, 1.5), TypeError, "float"),
    ("qadd", "a_scale", 2.0**121, ValueError, r"e\+36"), ("qadd", "b_scale", 1e38, ValueError, r"1e\+38"),
    ("dequantize", "q", X, TypeError, "float32"), ("dequantize", "scale", SCALES[:5], ValueError, r"\(5,\)"),
    ("dequantize", "scale", SCALES * 0, ValueError, "0.0"), ("dequantize", "zero", -1, ValueError, "-1"),
    ("requantize", "out_zero", 300, ValueError, "300"),
    ("requantize", "scale", SCALES * np.float32(np.nan), ValueError, "nan"),
    ("qadd", "b", Q[:2], ValueError, r"\(2, 6\)"), ("qadd", "b_scale", -1.0, ValueError, "-1.0"),
    ("qadd", "a_zero", 256, ValueError, "256"), ("qadd", "scale", None, TypeError, "None"),
    ("qmax_pool2d", "x", IMAGES[0], ValueError, r"\(4, 4, 6\)"),
    ("qmax_pool2d", "kernel_size", 5, ValueError, "5"), ("qmax_pool2d", "padding", 2, ValueError, "2"),
    ("qmax_pool2d", "stride", 0, ValueError, "0"), ("qavg_pool2d", "zero", 256, ValueError, "256"),
    ("qavg_pool2d", "kernel_size", (2, 2.0), TypeError, "float"),
    ("im2col", "x", Q, ValueError, r"\(4, 6\)"), ("im2col", "fill", -1, ValueError, "-1"),
    ("im2col", "kernel_size", 9, ValueError, "9"), ("im2col", "dilation", 0, ValueError, "0"),
    ("qconv2d", "w", FILTERS.astype(U8), TypeError, "uint8"), ("qconv2d", "groups", 3, ValueError, "3"),
    ("qconv2d", "bias", np.ones(5, np.int32), ValueError, r"\(5,\)"),
    ("qconv2d", "bias", np.ones(6), TypeError, "float64"),
    ("qconv2d", "scale", SCALES[:5], ValueError, r"\(5,\)"),
    ("qconv2d", "scale", -SCALES, ValueError, "-1.0"), ("qconv2d", "scale", 0.0, ValueError, "0.0"),
    ("qconv2d", "x_zero", 256, ValueError, "256"), ("qconv2d", "out_zero", -1, ValueError, "-1"),
    ("qconv2d", "clip", (3, 256), ValueError, "256"), ("qconv2d", "clip", (9, 3), ValueError, r"\(9, 3\)"),
    ("qconv2d", "clip", 9, TypeError, "9"),
    ("qdepthwise_conv2d", "w", FILTERS, ValueError, r"\(6, 3, 2, 2\)"),
    ("qdepthwise_conv2d", "scale", SCALES[:5], ValueError, r"\(5,\)"),
    ("qdepthwise_conv2d", "stride", 0, ValueError, "0"),
    ("qdepthwise_conv2d", "clip", (3, 256), ValueError, "256"),
    ("qdepthwise_conv2d", "clip", (3, None), TypeError, "NoneType"),
]


pytestmark = pytest.mark.usefixtures("backend")


@pytest.mark.parametrize(("kernel", "name", "value", "error", "came"), BAD)
def test_a_bad_argument_is_refused(kernel, name, value, error, came):
    call = getattr(kernels, kernel)
    call(**GOOD[kernel])
    with pytest.raises(error, match=rf"(?s)^{kernel}: .*(?<!\w){name}(?!\w).*{came}|{came}.*{name}"):
        call(**{**GOOD[kernel], name: value})


@pytest.mark.parametrize("kernel", ["qconv2d", "qdepthwise_conv2d"])
def test_without_a_scale_nothing_is_clipped(kernel):
    sums = {**GOOD[kernel], "scale": None, "out_zero": 0, "clip": None}
    assert getattr(kernels, kernel)(**sums).dtype == np.int32
    with pytest.raises(ValueError, match=rf"^{kernel}: clip without scale must be None, got \(3, 9\)"):
        getattr(kernels, kernel)(**{**sums, "clip": (3, 9)})


@pytest.mark.parametrize("kernel", GOOD)
def test_the_result_goes_where_out_says(kernel):
    call = getattr(kernels, kernel)
    want = call(**GOOD[kernel])
    out = np.zeros_like(want)
    assert call(**GOOD[kernel], out=out) is out
    np.testing.assert_array_equal(out, want)
    with pytest.raises(ValueError, match=f"^{kernel}: out must have shape"):
        call(**GOOD[kernel], out=out[:1])
    with pytest.raises(TypeError, match=f"^{kernel}: out must be {want.dtype}, got complex64"):
        call(**GOOD[kernel], out=out.astype(np.complex64))


def test_out_may_not_overlap():
    for kernel, name in (("qadd", "a"), ("qconv2d", "x")):
        good = {**GOOD[kernel]}
        want = getattr(kernels, kernel)(**good)
        shared = np.zeros(good[name].size + want.size, U8)
        good[name] = shared[:good[name].size].reshape(good[name].shape)
        with pytest.raises(ValueError, match=f"^{kernel}: out must not overlap an input"):
            getattr(kernels, kernel)(**good, out=shared[:want.size].reshape(want.shape))


def test_a_patch_times_filters_is_a_convolution():
    x, w = IMAGES[..., :3], np.arange(36, dtype=np.int8).reshape(3, 3, 2, 2) - 18
    rows = kernels.im2col(x, 2, padding=1, fill=7)
    y = kernels.qgemm(rows.reshape(-1, 12), w.transpose(0, 2, 3, 1).reshape(3, 12).T, a_zero=7)
    np.testing.assert_array_equal(kernels.qconv2d(x, w, padding=1, x_zero=7), y.reshape(2, 5, 5, 3))


def test_filters_are_packed_for_so_many_groups():
    """The layout depends on them: another number of groups is refused, though the shapes would fit."""
    for kernel, dtype, of_x in ((kernels.conv2d, np.float32, np.float32), (kernels.qconv2d, np.int8, U8)):
        w, x = np.ones((4, 2, 1, 1), dtype), np.ones((1, 1, 1, 2), of_x)
        packed = kernel.pack(w, groups=2)
        for _ in range(2):
            with pytest.raises(ValueError, match=f"^{kernel.name}: groups must be 2, as w was packed, got 1"):
                kernel(x, packed)
        again = pickle.loads(pickle.dumps(packed))
        assert again.parts["groups"] == 2
        np.testing.assert_array_equal(again.unpack(), w)


def test_ties_go_to_the_even_integer():
    x = np.array([0.5, 1.5, 2.5, -0.5], np.float32)
    assert kernels.quantize(x, 1.0, 10).tolist() == [10, 12, 12, 10]
    assert kernels.requantize(np.array([1, 3, 5], np.int32), 0.5).tolist() == [0, 2, 2]
    assert kernels.qadd(np.array([1, 3], U8), np.zeros(2, U8), 1.0, 0, 1.0, 0, 2.0, 0).tolist() == [0, 2]
