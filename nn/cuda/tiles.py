"""Which tiles tensor cores multiply in (csrc/cuda/tensor_gemm.h)."""

from .device_kernel import Call

ROWS, COLUMNS = 128, 256  # of a large one


def large_tiles(call: Call, m: int, n: int) -> bool:
    """Whether a product of m rows and n columns has a whole large tile for every multiprocessor. With fewer,
    some would be idle."""
    return m >= ROWS and n >= COLUMNS and (m // ROWS) * (n // COLUMNS) >= call.library.multiprocessors
