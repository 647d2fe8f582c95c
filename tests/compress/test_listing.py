"""A printed Program: a line for each call, folded between arguments where it would be too long."""

import re

import numpy as np
import pytest

import compress
import nn
from compress.program.listing import WIDTH


@pytest.mark.parametrize("recipe", [None, compress.Quantize(), compress.Cluster(4), compress.Prune(0.9)])
@pytest.mark.parametrize("network", [nn.models.digits_cnn, nn.models.digits_mlp])
def test_it_fits_in_a_hundred_columns_and_loses_nothing(network, recipe):
    model, x = network(rng=np.random.default_rng(0)), nn.data.digits().x_train[:64]
    if recipe is not None:
        compress.prepare(model, recipe, x)
    program = compress.convert(model, x)
    _, _, *lines = str(program).splitlines()
    assert max(map(len, lines)) <= WIDTH
    calls = []
    for line in lines:
        cell = re.split(r"  +", line.strip())[0]
        if line.startswith("      "):
            calls[-1] += f" {cell}"
        else:
            calls.append(cell)
    assert calls == [str(call) for call in program.calls]
