"""Rounding, solved again: number by number, in Python's own arithmetic where it is not too slow."""

# ruff: noqa: F821 (what the task gives stands before these functions)

import math

import numpy as np


def first_step(v, high):
    """As in the task."""
    total = math.fsum(abs(one) for one in v.ravel().tolist())
    return 2 * total / (v.size * math.sqrt(high)) if total else 1.0


def codes(v, step, low, high):
    """As in the task."""
    found = [min(max(round(one / step), low), high) for one in v.ravel().tolist()]
    return np.array(found, np.int16).reshape(v.shape)


def fake(v, step, low, high):
    """As in the task."""
    return codes(v, step, low, high) * np.float64(step)


def fake_backward(g, v, step, low, high):
    """As in the task: what is out of range is told of its end, what is not, of its rounding error."""
    by_v, by_step = g.astype(np.float64), 0.0
    for place in np.ndindex(v.shape):
        steps = v[place] / step
        if steps < low:
            by_v[place], slope = 0.0, low
        elif steps > high:
            by_v[place], slope = 0.0, high
        else:
            slope = round(float(steps)) - steps
        by_step += g[place] * slope
    return by_v, float(by_step)


def integer_layer(x, layer):
    """As in the task: a sum of outer products."""
    q_x = codes(x, layer["step_x"], *of_activations(layer["bits"]))
    q_w = codes(layer["w"], layer["step_w"], *of_weights(layer["bits"]))
    sums = np.zeros((len(x), q_w.shape[1]), np.int32)
    for column, row in zip(q_x.T.astype(np.int32), q_w.astype(np.int32), strict=True):
        sums += np.outer(column, row)
    return sums, sums * (layer["step_x"] * layer["step_w"]) + layer["b"]


def layer_backward(g, x, layer):
    """As in the task."""
    x_ends, w_ends = of_activations(layer["bits"]), of_weights(layer["bits"])
    w_seen, x_seen = fake(layer["w"], layer["step_w"], *w_ends), fake(x, layer["step_x"], *x_ends)
    found = {"b": np.einsum("no->o", g)}
    found["x"], found["step_x"] = vectorised(np.einsum("no,io->ni", g, w_seen), x, layer["step_x"], *x_ends)
    found["w"], found["step_w"] = vectorised(np.einsum("ni,no->io", x_seen, g), layer["w"], layer["step_w"],
                                             *w_ends)
    return found


def vectorised(g, v, step, low, high):
    """`fake_backward` at once, from ŷ = step · (clip(v / step) + error within the range)."""
    clipped = np.clip(v / step, low, high)
    by_v = np.where(clipped == v / step, g, 0.0)
    error = np.where(clipped == v / step, np.rint(clipped) - clipped, clipped)
    return by_v, float(np.vdot(g, error))


def train(layers, batches, rate):
    """As in the task: forward and backward in one walk down and up."""
    layers, moves = [{**layer} for layer in layers], len(batches)
    for i, (images, labels) in enumerate(batches):
        descend(layers, images, labels, rate * (moves - i) / moves)
    return layers


def descend(layers, x, labels, r):
    """Move all layers from the first of `layers` on; the gradient by x."""
    if not layers:
        return loss_gradient(x, labels)
    layer = layers[0]
    found = layer_backward(descend(layers[1:], layer_forward(x, layer), labels, r), x, layer)
    high_x, high_w = 2 ** layer["bits"] - 1, 2 ** (layer["bits"] - 1) - 1
    layer["w"], layer["b"] = layer["w"] - r * found["w"], layer["b"] - r * found["b"]
    layer["step_x"] = max(layer["step_x"] / 2,
                          layer["step_x"] - r * found["step_x"] / math.sqrt(x.shape[1] * high_x))
    layer["step_w"] = max(layer["step_w"] / 2,
                          layer["step_w"] - r * found["step_w"] / math.sqrt(found["w"].size * high_w))
    return found["x"]
