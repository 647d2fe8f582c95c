"""Faults for qgemm, which a law or the emulation finds: (kernel, rung, file, as it is, with the fault)."""

PLANTED = [
    ("qgemm", "naive", "qgemm.cu", "column >= n", "column > n"),
    ("qgemm", "naive", "qgemm.cu", "i < k; ++i", "i <= k; ++i"),
    ("qgemm", "naive", "requantize.h", "rintf(", "roundf("),
]
