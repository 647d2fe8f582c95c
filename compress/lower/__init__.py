"""Lowering: from the Graph of a network to the calls of a Program."""
