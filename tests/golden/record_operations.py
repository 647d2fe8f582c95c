"""Records what PyTorch computes, outputs and gradients, for the tests of nn.functional.

    python tests/golden/record_operations.py

The tests read the recorded file and need no PyTorch. Last run with PyTorch 2.13.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

CONV2D = [  # x, w, bias?, how
    ((2, 3, 6, 5), (4, 3, 3, 3), True, {}),
    ((1, 1, 8, 8), (2, 1, 3, 3), False, {"padding": 1}),
    ((2, 4, 7, 6), (6, 2, 3, 2), True, {"stride": 2, "padding": 1, "groups": 2}),
    ((1, 2, 9, 10), (3, 2, 3, 3), False, {"stride": [3, 2], "padding": [0, 2], "dilation": [2, 1]}),
    ((2, 4, 5, 5), (4, 1, 3, 3), True, {"padding": 1, "groups": 4}),
    ((2, 5, 4, 4), (3, 5, 1, 1), True, {}),
    ((1, 2, 6, 6), (2, 2, 1, 1), False, {"stride": 2}),
    ((2, 2, 5, 7), (2, 2, 5, 7), False, {}),
    (
        (1, 6, 8, 8),
        (9, 2, 2, 3),
        True,
        {"stride": [2, 3], "padding": [3, 1], "dilation": [3, 2], "groups": 3},
    ),
]
POOL = [  # x, kernel, stride, padding; the sizes do not always divide
    ((2, 3, 6, 6), 2, None, 0),
    ((1, 2, 7, 5), 2, None, 0),
    ((2, 2, 7, 8), 3, 2, 1),
    ((1, 3, 6, 7), [2, 3], 1, [1, 0]),
    ((1, 1, 9, 9), 2, 3, 0),
    ((1, 2, 5, 5), 5, None, 0),
]
BATCH_NORM = [((6, 3), True), ((6, 3), False), ((3, 4, 5, 2), True), ((3, 4, 5, 2), False), ((4, 2, 5), True)]
CROSS_ENTROPY = [((5, 4), "mean"), ((5, 4), "sum"), ((3, 10), "none")]
ALONG = [
    ("softmax", (3, 5), -1),
    ("softmax", (2, 3, 4), 1),
    ("log_softmax", (3, 5), -1),
    ("log_softmax", (4, 3), 0),
]


def record(recorded, cases, name, function, inputs, how):
    """One case: the inputs that are not None, the output, a cotangent, and the gradients of the floats."""
    key = str(len(cases))
    tensors = [x if x is None else torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    out = function(*tensors, **how)
    v = torch.tensor(np.random.default_rng(len(cases)).normal(size=tuple(out.shape)))
    out.backward(v)
    for i, (x, t) in enumerate(zip(inputs, tensors, strict=True)):
        if x is not None:
            recorded[f"{key}.input{i}"] = x
            if t.requires_grad:
                recorded[f"{key}.grad{i}"] = t.grad.numpy()
    recorded[f"{key}.out"], recorded[f"{key}.v"] = out.detach().numpy(), v.numpy()
    cases.append({"function": name, "inputs": len(inputs), "how": how})


def main():
    rng, recorded, cases = np.random.default_rng(0), {}, []
    for x, w, bias, how in CONV2D:
        inputs = [rng.normal(size=x), rng.normal(size=w), rng.normal(size=w[0]) if bias else None]
        record(recorded, cases, "conv2d", F.conv2d, inputs, how)
    for x, kernel_size, stride, padding in POOL:
        how = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        ties = rng.integers(-2, 3, x).astype(float)
        record(recorded, cases, "max_pool2d", F.max_pool2d, [ties], how)
        record(recorded, cases, "avg_pool2d", F.avg_pool2d, [rng.normal(size=x)], how)
    for shape, training in BATCH_NORM:
        c = shape[1]
        x, weight, bias = rng.normal(2, 3, size=shape), rng.normal(size=c), rng.normal(size=c)
        mean, var = rng.normal(size=c), rng.uniform(0.5, 2, c)
        moved = torch.tensor(mean), torch.tensor(var)
        how = {"training": training, "momentum": 0.3, "eps": 0.01}
        recorded[f"{len(cases)}.mean"], recorded[f"{len(cases)}.var"] = mean, var
        recorded[f"{len(cases)}.moved_mean"], recorded[f"{len(cases)}.moved_var"] = (
            moved[0].numpy(),
            moved[1].numpy(),
        )
        record(
            recorded,
            cases,
            "batch_norm",
            lambda x, w, b, m=moved, **how: F.batch_norm(x, *m, w, b, **how),
            [x, weight, bias],
            how,
        )
    for shape, reduction in CROSS_ENTROPY:
        inputs = [rng.normal(size=shape) * 3, rng.integers(0, shape[1], shape[0])]
        record(recorded, cases, "cross_entropy", F.cross_entropy, inputs, {"reduction": reduction})
        inputs = [rng.normal(size=shape), rng.normal(size=shape)]
        record(recorded, cases, "mse_loss", F.mse_loss, inputs, {"reduction": reduction})
    for name, shape, dim in ALONG:
        record(recorded, cases, name, getattr(F, name), [rng.normal(size=shape) * 4], {"dim": dim})
    for shapes in [((4, 3), (5, 3), (5,)), ((2, 2, 3), (1, 3), (1,)), ((3,), (2, 3), None)]:
        inputs = [s and rng.normal(size=s) for s in shapes]
        record(recorded, cases, "linear", F.linear, inputs, {})
    np.savez_compressed(Path(__file__).with_name("torch_operations.npz"), cases=json.dumps(cases), **recorded)


if __name__ == "__main__":
    main()
