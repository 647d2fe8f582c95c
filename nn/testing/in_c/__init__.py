"""A kernel of one's own in C: its signature, made from the contract; how it is built, run and checked.

    >>> from nn.testing.in_c import built, check
    >>> with built("my.c", nn.kernels.gemm) as gemm:        # a function with the kernel's arguments
    ...     gemm(a, b)
    >>> print(check("my.c", nn.kernels.gemm))               # every law, each failure with the smallest case

What the file holds runs in a process of its own (host.c), which gets arguments and gives back results. A
crash there, a byte read or written outside of an argument, or a loop without end is an AssertionError here.
"""

from ...compiler import NoCompilerError
from .building import BuildError, build
from .check import check
from .function import InC, KernelError, built
from .header import example, header
from .signature import Parameter, prototype, signature

__all__ = ["BuildError", "InC", "KernelError", "NoCompilerError", "Parameter", "build", "built", "check",
           "example", "header", "prototype", "signature"]
