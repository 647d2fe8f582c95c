"""Another right solution: vjps by einsum and by formulas of their own; a depth-first order, found without
recursion, is walked backwards; gradients are added up in arrays that belong to the walk."""

import numpy as np


def unbroadcast(g, shape):
    """As in the task."""
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for axis in range(len(shape)):
        if shape[axis] != g.shape[axis]:
            g = g.sum(axis=axis, keepdims=True)
    return g


def add_vjp(g, a, b):
    """As in the task."""
    return unbroadcast(g, a.shape), unbroadcast(g, b.shape)


def multiply_vjp(g, a, b):
    """As in the task."""
    return tuple(unbroadcast(g * other, one.shape) for one, other in ((a, b), (b, a)))


def divide_vjp(g, a, b):
    """As in the task."""
    y = a / b
    return unbroadcast(g / b, a.shape), unbroadcast(-g * y / b, b.shape)


def matmul_vjp(g, a, b):
    """As in the task."""
    return np.einsum("mn,kn->mk", g, b), np.einsum("mk,mn->kn", a, g)


def tanh_vjp(g, y):
    """As in the task."""
    return (g - g * y**2,)


def sum_vjp(g, a, axis):
    """As in the task."""
    da = np.zeros_like(a)
    da += g if axis is None else np.expand_dims(g, axis)
    return (da,)


def softmax_vjp(g, y):
    """As in the task."""
    jacobians = y[..., :, None] * (np.eye(y.shape[-1]) - y[..., None, :])
    return (np.einsum("...j,...ji->...i", g, jacobians),)


def take_vjp(g, a, rows):
    """As in the task."""
    da = np.zeros_like(a)
    for row, some in zip(rows, g, strict=True):
        da[row] += some
    return (da,)


def backward(parents, output, g, vjp, free):
    """As in the task."""
    order, entered, todo = [], set(), [(output, False)]
    while todo:
        node, left = todo.pop()
        if left:
            order.append(node)
        elif node not in entered:
            entered.add(node)
            todo.append((node, True))
            todo.extend((parent, False) for parent in parents[node])
    grads = [None] * len(parents)
    grads[output] = np.array(g)
    for node in reversed(order):
        if parents[node]:
            sent = vjp(node, grads[node])
            free(node)
            grads[node] = None
            for parent, more in zip(parents[node], sent, strict=True):
                if grads[parent] is None:
                    grads[parent] = np.array(more)
                else:
                    grads[parent] += more
    return grads
