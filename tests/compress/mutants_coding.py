"""Coders with one planted mistake each, and the law that must find it."""

import numpy as np

from compress import Cluster, Huffman, Rans
from compress.testing import laws_coding
from tests.compress.mutants import MUTANTS


def coding(law):
    """Plant the decorated coder at the end of a chain."""

    def plant(mutant):
        MUTANTS.append((law, [Cluster(2), mutant()], mutant.__name__))
        return mutant

    return plant


@coding(laws_coding.codes_losslessly)
class CountsFromTheEnd(Rans):
    """Writes the last symbol first, and reads it as if it were the first."""

    name = "from-the-end"

    @classmethod
    def write(cls, symbols, table):
        return super().write(symbols[::-1].copy(), table)


@coding(laws_coding.codes_only_what_pays)
class FillsUp(Huffman):
    """Makes the tables a round number of bytes."""

    name = "filled"

    def code(self, stored):
        coded = super().code(stored)
        tables = coded.written["tables"]
        coded.written["tables"] = np.append(tables, np.zeros(-len(tables) % 256, np.uint8))
        return coded
