"""Bad arguments of the kernels of a convolution: rows of test_bad_input.py."""

import numpy as np

from tests.nn.kernels.wrong_arrays import NO_ARRAY, TYPE, VALUE, F, read_only

X, W = np.ones((3, 3, 3, 4), F), np.ones((5, 4, 3, 3), F)

WRONG = [*NO_ARRAY, (TYPE, None, "None|nothing"), (TYPE, X.astype(np.int32), "int32"),
         (TYPE, X.astype(X.dtype.newbyteorder()), "byte-swapped"),
         (VALUE, X[0], r"\(3, 3, 4\)"), (VALUE, X[None], r"\(1, 3, 3, 3, 4\)"),
         (VALUE, np.array(F(1)), r"\(\)")]
OUT = np.zeros((3, 1, 1, 5), F)


def number(least):
    return [(TYPE, 1.5, "float"), (TYPE, "1", "str"), (TYPE, None, "None"), (TYPE, (1, 2.0), "float"),
            (TYPE, (1, 1, 1), r"\(1, 1, 1\)"), (TYPE, (), r"\(\)"), (VALUE, least - 1, str(least - 1)),
            (VALUE, (1, least - 1), str(least - 1)), (VALUE, 2**70, str(2**70))]


BAD = {
    ("conv2d", "x"): [
        *WRONG, (VALUE, X[..., :3], r"\(3, 3, 3, 3\)"), (VALUE, np.ones((3, 2, 3, 4), F), r"\(3, 2, 3, 4\)"),
        (VALUE, np.ones((3, 0, 0, 4), F), r"\(3, 0, 0, 4\)")],
    ("conv2d", "w"): [
        *WRONG, (VALUE, W[:, :3], r"\(5, 3, 3, 3\)"), (VALUE, W[:, :, :0], r"\(5, 4, 0, 3\)"),
        (VALUE, np.ones((5, 4, 4, 3), F), r"\(5, 4, 4, 3\)")],
    ("conv2d", "bias"): [
        (TYPE, [0] * 5, "list"), (TYPE, 1, "int"),
        (VALUE, np.zeros(4, F), "4"), (VALUE, np.zeros((1, 5), F), r"\(1, 5\)")],
    ("conv2d", "stride"): number(1),
    ("conv2d", "dilation"): number(1),
    ("conv2d", "padding"): number(0),
    ("conv2d", "groups"): [
        (TYPE, 1.5, "float"), (TYPE, "1", "str"), (TYPE, None, "None"), (TYPE, (1, 1), "tuple"),
        (TYPE, True, "bool"), (VALUE, 0, "0"), (VALUE, 2, "2"), (VALUE, 2**70, str(2**70))],
    ("conv2d", "relu"): [(TYPE, 1, "int"), (TYPE, None, "None"), (TYPE, "yes", "str")],
    ("conv2d", "out"): [
        *NO_ARRAY, (TYPE, OUT.astype(np.float64), "float64"), (VALUE, OUT[:2], r"\(2, 1, 1, 5\)"),
        (VALUE, OUT[0], r"\(1, 1, 5\)"), (VALUE, read_only(OUT), "read-only"),
        (VALUE, np.zeros((3, 1, 1, 10), F)[..., ::2], "strides"), (VALUE, OUT[..., ::-1], "strides"),
        (VALUE, OUT[::-1], "strides"), (VALUE, np.zeros((5, 1, 1, 3), F).T, "strides")],
}

G = np.ones((3, 1, 1, 5), F)
GOOD = {
    "conv2d": {"x": X, "w": W, "bias": np.zeros(5, F)},
    "conv2d_input_grad": {"g": G, "w": W, "size": (3, 3)},
    "conv2d_weight_grad": {"x": X, "g": G, "kernel_size": (3, 3)},
}
SHAPE = {"conv2d": G.shape, "conv2d_input_grad": X.shape, "conv2d_weight_grad": W.shape}   # of the result
for kernel, array, name in (("conv2d_input_grad", "w", "size"), ("conv2d_weight_grad", "x", "kernel_size")):
    BAD |= {
        (kernel, "g"): [*WRONG, (VALUE, G[:2], r"\(2, 1, 1, 5\)") if array == "x" else
                        (VALUE, np.ones((3, 1, 2, 5), F), r"\(3, 1, 2, 5\)"),
                        (VALUE, np.ones((3, 2, 1, 5), F), r"\(3, 2, 1, 5\)")],
        (kernel, array): WRONG,
        (kernel, name): [(TYPE, 1.5, "float"), (TYPE, "33", "str"), (TYPE, (3, 3.0), "float"),
                         (TYPE, (3,), "3"), (VALUE, (3, -1), "-1"), (VALUE, (3, 2**70), str(2**70))],
        **{(kernel, option): BAD["conv2d", option] for option in ("stride", "dilation", "padding", "groups")},
    }
BAD |= {
    ("conv2d_input_grad", "out"): [
        *NO_ARRAY, (TYPE, X.astype(np.float64), "float64"), (VALUE, X[:2].copy(), r"\(2, 3, 3, 4\)"),
        (VALUE, read_only(X), "read-only"), (VALUE, np.zeros((3, 3, 3, 8), F)[..., ::2], "strides")],
    ("conv2d_weight_grad", "out"): [
        *NO_ARRAY, (TYPE, W.astype(np.float64), "float64"), (VALUE, W[:2].copy(), r"\(2, 4, 3, 3\)"),
        (VALUE, read_only(W), "read-only"), (VALUE, np.zeros((5, 4, 3, 6), F)[..., ::2], "strides")],
}

SHARED = np.ones(400, F)
OVERLAPS = [
    ("conv2d", {"x": SHARED[:108].reshape(X.shape), "out": SHARED[100:115].reshape(OUT.shape)}),
    ("conv2d", {"w": SHARED[:180].reshape(W.shape), "out": SHARED[170:185].reshape(OUT.shape)}),
    ("conv2d", {"bias": SHARED[:5], "out": SHARED[4:19].reshape(OUT.shape)}),
    ("conv2d_input_grad", {"g": SHARED[:15].reshape(G.shape), "out": SHARED[14:122].reshape(X.shape)}),
    ("conv2d_input_grad", {"w": SHARED[:180].reshape(W.shape), "out": SHARED[179:287].reshape(X.shape)}),
    ("conv2d_weight_grad", {"x": SHARED[:108].reshape(X.shape), "out": SHARED[107:287].reshape(W.shape)}),
    ("conv2d_weight_grad", {"g": SHARED[:15].reshape(G.shape), "out": SHARED[14:194].reshape(W.shape)}),
]

# One filter for each channel: the same rows, where the shapes allow.
E, D = np.ones((3, 1, 1, 4), F), np.ones((4, 1, 3, 3), F)
GOOD |= {
    "depthwise_conv2d": {"x": X, "w": D, "bias": np.zeros(4, F)},
    "depthwise_conv2d_input_grad": {"g": E, "w": D, "size": (3, 3)},
    "depthwise_conv2d_weight_grad": {"x": X, "g": E, "kernel_size": (3, 3)},
}
SHAPE |= {"depthwise_conv2d": E.shape, "depthwise_conv2d_input_grad": X.shape,
          "depthwise_conv2d_weight_grad": D.shape}
D_WRONG = [(VALUE, D[:3], r"\(3, 1, 3, 3\)"), (VALUE, np.ones((4, 2, 3, 3), F), r"\(4, 2, 3, 3\)"),
           (VALUE, W, r"\(5, 4, 3, 3\)"), (VALUE, D[:, :, :0], r"\(4, 1, 0, 3\)")]
E_WRONG = [(VALUE, E[:2], r"\(2, 1, 1, 4\)"), (VALUE, E[..., :3], r"\(3, 1, 1, 3\)"),
           (VALUE, np.ones((3, 2, 1, 4), F), r"\(3, 2, 1, 4\)")]


def bad_out(good):
    return [*NO_ARRAY, (TYPE, good.astype(np.float64), "float64"), (VALUE, good[:2].copy(), r"\(2, "),
            (VALUE, read_only(good), "read-only"), (VALUE, np.repeat(good, 2, 3)[..., ::2], "strides")]


BAD |= {
    **{(kernel, option): BAD["conv2d", option] for option in ("stride", "dilation", "padding")
       for kernel in GOOD if kernel.startswith("depthwise")},
    ("depthwise_conv2d", "x"): BAD["conv2d", "x"],
    ("depthwise_conv2d", "w"): [*WRONG, *D_WRONG, (VALUE, np.ones((4, 1, 4, 3), F), r"\(4, 1, 4, 3\)")],
    ("depthwise_conv2d", "bias"): [
        (TYPE, [0] * 4, "list"), (VALUE, np.zeros(5, F), "5"),
        (VALUE, np.zeros((1, 4), F), r"\(1, 4\)")],
    ("depthwise_conv2d", "relu"): BAD["conv2d", "relu"],
    ("depthwise_conv2d", "out"): [*bad_out(np.zeros((3, 1, 1, 4), F)), (VALUE, E[::-1], "strides")],
    ("depthwise_conv2d_input_grad", "g"): [*WRONG, *E_WRONG[1:]],
    ("depthwise_conv2d_input_grad", "w"): [*WRONG, *D_WRONG[1:]],
    ("depthwise_conv2d_input_grad", "size"): BAD["conv2d_input_grad", "size"],
    ("depthwise_conv2d_input_grad", "out"): bad_out(X),
    ("depthwise_conv2d_weight_grad", "x"): WRONG,
    ("depthwise_conv2d_weight_grad", "g"): [*WRONG, *E_WRONG],
    ("depthwise_conv2d_weight_grad", "kernel_size"): BAD["conv2d_weight_grad", "kernel_size"],
    ("depthwise_conv2d_weight_grad", "out"): bad_out(D),
}
OVERLAPS += [
    ("depthwise_conv2d", {"x": SHARED[:108].reshape(X.shape), "out": SHARED[100:112].reshape(E.shape)}),
    ("depthwise_conv2d", {"w": SHARED[:36].reshape(D.shape), "out": SHARED[35:47].reshape(E.shape)}),
    ("depthwise_conv2d", {"bias": SHARED[:4], "out": SHARED[3:15].reshape(E.shape)}),
    ("depthwise_conv2d_input_grad",
     {"g": SHARED[:12].reshape(E.shape), "out": SHARED[11:119].reshape(X.shape)}),
    ("depthwise_conv2d_input_grad",
     {"w": SHARED[:36].reshape(D.shape), "out": SHARED[35:143].reshape(X.shape)}),
    ("depthwise_conv2d_weight_grad",
     {"x": SHARED[:108].reshape(X.shape), "out": SHARED[99:135].reshape(D.shape)}),
    ("depthwise_conv2d_weight_grad",
     {"g": SHARED[:12].reshape(E.shape), "out": SHARED[11:47].reshape(D.shape)}),
]
