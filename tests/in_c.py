"""Where somebody's kernel in C can be built and run, for tests that do that."""

import pytest

from nn.compiler import NoCompilerError, compiler
from nn.testing import guard


def why_not() -> str | None:
    """None where it can, else why not."""
    try:
        compiler()
    except NoCompilerError as error:
        return str(error)
    return guard.why_not()


in_c = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
