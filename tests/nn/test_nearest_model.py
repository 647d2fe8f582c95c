"""nn.models.nearest: the network of a family that is nearest to a size."""

import numpy as np
import pytest

import nn


def make(width):
    return nn.models.digits_mlp(width, np.random.default_rng(0))


def count(model):
    return sum(p.size for p in model.parameters())


@pytest.mark.parametrize("wanted", [0, 365, 1000, 2500.5, 7000, 20_000, 10**9])
def test_no_other_width_is_nearer(wanted):
    sizes = [count(make(i / 64)) for i in range(1, 64)]
    assert abs(count(nn.models.nearest(make, wanted)) - wanted) == min(abs(size - wanted) for size in sizes)


def test_what_is_counted_and_the_widths_can_be_others():
    model = nn.models.nearest(make, 40, size=lambda model: len(model.fc1.weight.data), widths=(0.1, 0.2, 1))
    assert len(model.fc1.weight.data) == 30
    with pytest.raises(ValueError, match="nearest: wanted one width at least, got none"):
        nn.models.nearest(make, 40, widths=())
