"""The techniques, a file each: how a weight trains, how it is stored, what multiplies with it."""
