"""A rung of a kernel, of the library that NN_CUDA_LIB names, held to its laws in every order of threads:

    NN_CUDA=emulation NN_CUDA_LIB=... python -m tests.nn.cuda.finds qgemm naive

Prints what is broken and ends with 1, or ends with 0. A process of its own: a fault may lead anywhere.
"""

import sys

from nn import cuda, kernels
from nn.testing.check import forced, holds, laws_for
from nn.testing.laws import all_of
from nn.testing.profiles import load_profile
from tests.nn.cuda.conftest import ORDERS


def main(name: str, rung: str, profile: str = "ci") -> int:
    """The exit code."""
    load_profile(profile)
    f = forced(getattr(kernels, name), f"{name}_cuda_{rung}")
    for order in ORDERS:
        cuda.emulate(order, seed=11)
        try:
            holds(all_of(laws_for(f)), f, shrink=False)
        except AssertionError as error:
            print(str(error).partition("\n")[0])
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
