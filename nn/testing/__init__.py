"""Strategies, laws and checkers for kernels and rules. Needs Hypothesis (`pip install espalier[test]`).

    >>> from nn.testing import check
    >>> print(check(nn.kernels.qgemm))                   # all variants this machine can run
    >>> print(check(my_qgemm, like=nn.kernels.qgemm))    # your own function, held to qgemm's contract
"""

try:
    import hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("nn.testing and compress.testing need Hypothesis, which the extra `test` "
                              "brings: pip install 'espalier[test]'", name=error.name) from None

from .check import check

__all__ = ["check"]
