"""The classroom: assignments that are released to students, and graded by properties."""

from . import expect
from .graded import graded, main

__all__ = ["expect", "graded", "main"]
