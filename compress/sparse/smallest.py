"""Which form takes the fewest bytes."""

import numpy as np

from ..stored import as_matrix
from .bitmask import BitmaskWeight
from .blocks import EightRows, FourRows
from .columns import ColumnsWeight
from .csr import SparseWeight
from .form import SparseForm
from .gaps import GapsWeight
from .two_of_four import TwoOfFour

FORMS: tuple[type[SparseForm], ...] = (TwoOfFour, BitmaskWeight, GapsWeight, FourRows, EightRows,
                                       SparseWeight, ColumnsWeight)


def forms(w: np.ndarray) -> dict[str, SparseForm]:
    """A float32 weight in every form that fits it, by the form's kind in a file."""
    positions = np.flatnonzero(as_matrix(w))
    return {form.kind: form(w) for form in FORMS if form.fits(positions, w.shape)}


def smallest(w: np.ndarray) -> SparseForm:
    """The form with the fewest bytes; of two alike the first of FORMS."""
    return min(forms(w).values(), key=lambda form: form.nbytes)
