"""Weights with zeros: the forms in which they are stored, and which product multiplies with them.

A form is chosen by its bytes when a weight is stored (`smallest`), a product by what it costs when a Program
is bound (cost.py). Each form is a file; every one of them can be multiplied by every product."""
