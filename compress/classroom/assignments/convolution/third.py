"""A third right solution: loops over positions, as one would write them down first; batch norm's gradient
through the mean and the variance, one after the other, as in the paper."""

import numpy as np


def _windows(shape, kernel, stride, padding, dilation):
    """(i, j, the slices of padded images that position meets)"""
    reach = [dilation[k] * (kernel[k] - 1) + 1 for k in (0, 1)]
    ends = [shape[k + 1] + 2 * padding[k] - reach[k] + 1 for k in (0, 1)]
    for i, top in enumerate(range(0, ends[0], stride[0])):
        for j, left in enumerate(range(0, ends[1], stride[1])):
            yield i, j, (slice(None), slice(top, top + reach[0], dilation[0]),
                         slice(left, left + reach[1], dilation[1]))


def im2col(x, kernel, stride, padding, dilation):
    """As in the task."""
    n, height, width, c = x.shape
    around = np.zeros((n, height + 2 * padding[0], width + 2 * padding[1], c))
    around[:, padding[0]:padding[0] + height, padding[1]:padding[1] + width] = x
    found = list(_windows(x.shape, kernel, stride, padding, dilation))
    cols = np.zeros((n, found[-1][0] + 1, found[-1][1] + 1, kernel[0] * kernel[1] * c))
    for i, j, window in found:
        cols[:, i, j] = around[window].reshape(n, -1)
    return cols


def col2im(cols, shape, kernel, stride, padding, dilation):
    """As in the task."""
    n, height, width, c = shape
    around = np.zeros((n, height + 2 * padding[0], width + 2 * padding[1], c))
    for i, j, window in _windows(shape, kernel, stride, padding, dilation):
        around[window] += cols[:, i, j].reshape(n, *kernel, c)
    return around[:, padding[0]:, padding[1]:][:, :height, :width].copy()


def conv2d(x, w, stride, padding, dilation):
    """As in the task."""
    cols = im2col(x, w.shape[2:], stride, padding, dilation)
    rows = np.array([one.transpose(1, 2, 0).ravel() for one in w])
    return np.tensordot(cols, rows, axes=(3, 1))


def conv2d_grads(g, x, w, stride, padding, dilation):
    """As in the task."""
    o, c, kh, kw = w.shape
    rows = np.array([one.transpose(1, 2, 0).ravel() for one in w])
    cols = im2col(x, (kh, kw), stride, padding, dilation)
    dw = np.array([(cols * g[..., k:k + 1]).sum((0, 1, 2)).reshape(kh, kw, c).transpose(2, 0, 1)
                   for k in range(o)])
    return col2im(np.tensordot(g, rows, axes=1), x.shape, (kh, kw), stride, padding, dilation), dw


def batch_norm(x, weight, bias, running_mean, running_var, momentum, eps):
    """As in the task."""
    mean, std = np.mean(x, 0), np.sqrt(np.mean(x * x, 0) - np.mean(x, 0) ** 2 + eps)
    x_hat = (x - mean) / std
    keep = 1 - momentum
    return (weight * x_hat + bias, x_hat, 1 / std, keep * running_mean + momentum * mean,
            keep * running_var + momentum * np.var(x, axis=0, ddof=1))


def batch_norm_grad(g, x_hat, inverse, weight):
    """As in the task."""
    count = len(g)
    d_hat = g * weight
    d_var = np.sum(d_hat * x_hat, 0) * -0.5 * inverse**2  # through σ², with x − μ = x̂ / inverse
    d_mean = -np.sum(d_hat * inverse, 0)  # Σ (x − μ) = 0: nothing comes through σ²
    dx = d_hat * inverse + d_var * 2 * (x_hat / inverse) / count + d_mean / count
    return dx, np.sum(g * x_hat, 0), np.sum(g, 0)
