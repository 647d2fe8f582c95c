"""A network written down in one line, for tests."""

import nn


class Net(nn.Module):
    """A module made of a forward function, of itself and any inputs, and of named children."""

    def __init__(self, forward, **children):
        self.compute = forward
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, x, *others):
        return self.compute(self, x, *others)
