"""Strategies, laws and checkers for kernels and rules. Needs Hypothesis (`pip install bonsai-nn[test]`)."""
