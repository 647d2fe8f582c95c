"""Every row that a ledger of the main job may have."""

from .char import ROWS
from .techniques import TECHNIQUES

EVERY = (*TECHNIQUES, *ROWS)
