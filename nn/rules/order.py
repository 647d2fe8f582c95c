"""Which entry comes where, and whether any or all hold: nothing of it has a gradient."""

import numpy as np

from .record import Rule


def _argsort(x, *, dim=-1, descending=False):
    """Equal entries keep their order, either way; NaN counts as greater than all."""
    if not descending:
        return np.argsort(x, axis=dim, kind="stable"), None
    backwards = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
    return x.shape[dim] - 1 - np.flip(backwards, dim), None


argsort = Rule("argsort", "y = the places of the entries in the order of their size: no gradient", _argsort)

any = Rule("any", "y = whether any entry is not 0: no gradient",
           lambda x, *, dim=None, keepdim=False: (np.any(x, axis=dim, keepdims=keepdim), None))
all = Rule("all", "y = whether no entry is 0: no gradient",
           lambda x, *, dim=None, keepdim=False: (np.all(x, axis=dim, keepdims=keepdim), None))
