"""Which entry comes where in the order of their size. Places have no gradient."""

import numpy as np

from .record import Rule, rule


@rule("y = the places of the entries in the order of their size: no gradient")
def argsort(x, *, dim=-1, descending=False):
    """Equal entries keep their order, either way; NaN counts as greater than all."""
    if not descending:
        return np.argsort(x, axis=dim, kind="stable"), None
    backwards = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
    return x.shape[dim] - 1 - np.flip(backwards, dim), None


argmax = Rule("argmax", "y = the first i at which xᵢ is greatest: no gradient", exact=True,
    forward=lambda x, *, dim=None, keepdim=False: (np.argmax(x, axis=dim, keepdims=keepdim), None))
argmin = Rule("argmin", "y = the first i at which xᵢ is least: no gradient", exact=True,
    forward=lambda x, *, dim=None, keepdim=False: (np.argmin(x, axis=dim, keepdims=keepdim), None))
