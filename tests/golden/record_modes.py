"""Records what PyTorch computes in forward mode and at second order, for the tests of nn's modes.

    python tests/golden/record_modes.py

The tests read the recorded file and need no PyTorch. Last run with PyTorch 2.13.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.func import functional_call, grad, hessian, jvp, vmap

CASES = [  # function, shapes of the floats, how
    ("conv2d", ((2, 3, 5, 4), (4, 3, 3, 3), (4,)), {"padding": 1}),
    ("conv2d", ((1, 4, 6, 6), (4, 2, 2, 3), (4,)), {"stride": 2, "groups": 2}),
    ("max_pool2d", ((2, 2, 5, 6),), {"kernel_size": 2}),
    ("avg_pool2d", ((2, 2, 6, 6),), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("linear", ((4, 3), (5, 3), (5,)), {}),
    ("softmax", ((3, 5),), {"dim": -1}),
    ("log_softmax", ((3, 5),), {"dim": 0}),
    ("gelu", ((3, 4),), {}),
    ("silu", ((3, 4),), {}),
    ("layer_norm", ((3, 6), (6,), (6,)), {"normalized_shape": [6]}),
    ("batch_norm", ((5, 3, 2, 2), (3,), (3,)), {"training": True}),
    ("batch_norm", ((5, 3), (3,), (3,)), {"training": False}),
    ("cross_entropy", ((5, 4),), {}),
    ("mse_loss", ((3, 4), (3, 4)), {}),
]


def call(name, how, inputs):
    """The function of that name, with what is no float filled in."""
    if name == "batch_norm":
        x, weight, bias = inputs
        c = x.shape[1]
        running = (None, None) if how["training"] else (torch.arange(c) / 2.0, torch.arange(c) + 0.5)
        return F.batch_norm(x, *(r if r is None else r.double() for r in running), weight, bias, **how)
    if name == "cross_entropy":
        return F.cross_entropy(inputs[0], torch.arange(len(inputs[0])) % inputs[0].shape[1])
    if name == "layer_norm":
        return F.layer_norm(inputs[0], how["normalized_shape"], *inputs[1:])
    return getattr(F, name)(*inputs, **how)


def network(rng):
    """A small network of 3, 5 and 4 numbers."""
    return {
        "0.weight": rng.normal(size=(5, 3)), "0.bias": rng.normal(size=5),
        "2.weight": rng.normal(size=(4, 5)), "2.bias": rng.normal(size=4),
    }  # fmt: skip


def main():
    rng, recorded, cases = np.random.default_rng(0), {}, []
    for key, (name, shapes, how) in enumerate(CASES):
        inputs, directions = ([torch.tensor(rng.normal(size=s)) for s in shapes] for _ in range(2))
        out, tangent = jvp(lambda *xs, n=name, h=how: call(n, h, xs), tuple(inputs), tuple(directions))
        v = torch.tensor(rng.normal(size=tuple(out.shape)))
        leaves = [x.clone().requires_grad_() for x in (v, *inputs)]
        grads = torch.autograd.grad(call(name, how, leaves[1:]), leaves[1:], leaves[0], create_graph=True)
        total = sum((g * u).sum() for g, u in zip(grads, directions, strict=True))
        second = torch.autograd.grad(total, leaves, allow_unused=True)
        for i, (x, u) in enumerate(zip(inputs, directions, strict=True)):
            recorded[f"{key}.input{i}"], recorded[f"{key}.direction{i}"] = x.numpy(), u.numpy()
        recorded[f"{key}.tangent"], recorded[f"{key}.v"] = tangent.numpy(), v.numpy()
        for i, g in enumerate(second):
            recorded[f"{key}.second{i}"] = np.zeros(leaves[i].shape) if g is None else g.numpy()
        cases.append({"function": name, "inputs": len(shapes), "how": how})

    layers = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4)).double()
    weights = network(rng)
    state = {name: torch.tensor(w) for name, w in weights.items()}
    x, y = torch.tensor(rng.normal(size=(6, 3))), torch.arange(6) % 4

    def loss(state, x, y):
        return F.cross_entropy(functional_call(layers, state, x), y)

    alone = vmap(grad(lambda s, x, y: loss(s, x[None], y[None])), in_dims=(None, 0, 0))(state, x, y)
    second = hessian(lambda s: loss(s, x, y))(state)
    recorded["network.x"] = x.numpy()
    for name, w in weights.items():
        recorded[f"network.{name}"] = w
        recorded[f"network.alone.{name}"] = alone[name].numpy()
        recorded[f"network.hessian.{name}"] = second[name][name].numpy().reshape(w.size, w.size)
    np.savez_compressed(Path(__file__).with_name("torch_modes.npz"), cases=json.dumps(cases), **recorded)


if __name__ == "__main__":
    main()
