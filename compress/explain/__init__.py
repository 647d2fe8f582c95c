"""Seeing inside what is compressed: weights, codebooks, masks, cores of tensor trains, and Programs, drawn.

    compress.explain.histogram(before, layer.weight)        # a weight before and after
    compress.explain.codebook(program.constants["conv2.weight"])
    compress.explain.mask(layer.weight)
    compress.explain.cores(program.constants["fc1.weight"])
    compress.explain.program(program)                       # its calls, with formats and bytes

A weight is an array, a Tensor, a Parameter, which is drawn as its layer sees it, or its stored form, as a
Program has it. Each function returns the Axes of matplotlib (`pip install espalier[plot]`), draws in `ax` if
it is given, and in a new figure if not.
"""

from .cores import cores
from .masks import mask
from .programs import program
from .values import codebook, histogram

__all__ = ["codebook", "cores", "histogram", "mask", "program"]
