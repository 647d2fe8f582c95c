"""Records what PyTorch computes for the methods that its users type, and for paddings and sizes by name.

    python tests/golden/record_names.py

The form is that of record_functions.py; test_functions_recorded.py reads both. Last run with PyTorch 2.13.
"""

from pathlib import Path

import numpy as np
from record_functions import Record, normal, rng, some, ties


def norms(record):
    for p in (2, 1, 3, 1.5, 0.5, -1, -2, float("inf"), -float("inf")):
        record.add(".norm", ties(2, 3), p=p)
        record.add(".norm", ties(2, 3, 4), p=p, dim=some(-3, 2), keepdim=bool(some(0, 1)))
    record.add(".norm", np.zeros(3))
    record.add(".norm", normal(2, 3, 4), p=3, dim=[0, -1])
    record.add(".norm", normal(0, 3), dim=0)


def order(record):
    for dim in (0, 1, -1):
        x = rng.permutation(24).reshape(2, 3, 4) / 4.0    # no two are equal
        for descending in (False, True):
            record.add(".sort", x, dim=dim, descending=descending)
            record.add(".topk", x, k=some(1, 2), dim=dim, largest=descending)
        record.add(".max", ties(2, 3, 4), dim=dim, keepdim=bool(some(0, 1)))
        record.add(".min", ties(2, 3, 4), dim=dim, keepdim=bool(some(0, 1)))
        record.add(".cumprod", ties(2, 3, 4), dim=dim)
    record.add(".cumprod", np.array([2.0, 0.0, 3.0, 0.0, 5.0]), dim=0)
    record.add(".cumprod", np.array([2.0, 0.5, -3.0, 1.0, 5.0]), dim=0)
    for name in (".max", ".min"):
        record.add(name, normal(3, 4))
        record.add(name, normal(3, 4), normal(4))


def copies(record):
    record.add(".clone", normal(2, 3))
    record.add(".t", normal(2, 3))
    for dims in ([0], [1], [0, 2], [-1]):
        record.add(".flip", normal(2, 3, 2), dims=dims)
    for name in (".square", ".neg"):
        record.add(name, normal(2, 3))
    for name in (".reciprocal", ".rsqrt"):
        record.add(name, 0.5 + rng.random((2, 3)))
    for name in (".add", ".sub", ".mul", ".div"):
        record.add(name, normal(2, 3), 0.5 + rng.random(3))
    record.add(".mm", normal(2, 3), normal(3, 2))
    record.add(".bmm", normal(2, 2, 3), normal(2, 3, 2))
    record.add(".mv", normal(2, 3), normal(3))
    record.add(".dot", normal(3), normal(3))


def sizes(record):
    for align in (False, True):
        for _ in range(4):
            x = normal(1, 2, some(1, 5), some(1, 6))
            record.add("interpolate", x, size=[some(1, 8), some(1, 8)], mode="bilinear", align_corners=align)
            record.add("interpolate", x, scale_factor=[0.6 * some(1, 4) + 0.5, 2.0], mode="bilinear",
                       align_corners=align)
            record.add("interpolate", normal(1, 2, some(1, 6)), size=some(1, 8), mode="linear",
                       align_corners=align)
    for _ in range(4):
        x = normal(1, 2, some(1, 5), some(1, 6))
        record.add("interpolate", x, size=[some(1, 9), some(1, 9)])
        record.add("interpolate", x, scale_factor=0.7 * some(2, 5))
        record.add("interpolate", normal(2, 1, some(2, 6)), scale_factor=2.5)
    for padding in ("same", "valid"):
        for _ in range(4):
            g, k = some(1, 2), [some(1, 3), some(1, 3)]
            how = {"padding": padding, "dilation": [some(1, 2), 1], "groups": g}
            record.add("conv2d", normal(1, 2 * g, 5, 5), normal(2 * g, 2, *k), normal(2 * g), **how)
            record.add("conv1d", normal(1, 2 * g, 7), normal(2 * g, 2, some(1, 4)), normal(2 * g),
                       padding=padding, dilation=some(1, 2), groups=g)


def main():
    record = Record()
    for part in (norms, order, copies, sizes):
        part(record)
    path = Path(__file__).with_name("torch_names.npz")
    record.save(path)
    print(f"{len(record.cases)} cases, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
