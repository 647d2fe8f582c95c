"""Random networks whose channels depend on each other in every way: sums, concats, groups, flattens."""

import numpy as np
from hypothesis import strategies as st

import nn
from nn import functional as F


class Branching(nn.Module):
    """Steps over a list of images: each takes some that are there and adds one. At last those that nothing
    has read are concatenated and flattened for two Linear layers."""

    def __init__(self, steps, rng):
        self.steps, channels, self.side = steps, [3], 6
        self.layers, read = nn.ModuleList(), set()
        for kind, a, b, setting in steps:
            c, layer = channels[a], nn.Identity()
            read.add(a)
            if kind == "conv":
                k, out, groups = setting
                layer = nn.Conv2d(c, out * groups, k, padding=k // 2, groups=groups, bias=k == 1, rng=rng)
                c = out * groups
            elif kind == "depthwise":
                layer, c = nn.Conv2d(c, c * setting, 3, padding=1, groups=c, rng=rng), c * setting
            elif kind == "norm":
                layer = nn.BatchNorm2d(c)
                for array in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                    array[:] = rng.uniform(0.5, 1.5, c)
            elif kind in ("add", "cat"):
                read.add(b)
                c += channels[b] * (kind == "cat")
            self.layers.append(layer)
            channels.append(c)
        self.last = sorted(set(range(len(channels))) - read)
        self.fc1 = nn.Linear(9 * sum(channels[i] for i in self.last), 7, rng=rng)
        self.fc2 = nn.Linear(7, 4, rng=rng)

    def forward(self, x):
        values = [x]
        for (kind, a, b, _), layer in zip(self.steps, self.layers, strict=True):
            x = layer(values[a])
            x = F.relu(x) if kind == "relu" else x + values[b] if kind == "add" else x
            values.append(F.cat([x, values[b]], 1) if kind == "cat" else x)
        x = F.max_pool2d(F.cat([values[i] for i in self.last], 1), 2)
        return self.fc2(F.relu(self.fc1(F.flatten(x, 1))))


@st.composite
def branching(draw):
    """A Branching in evaluation mode, and inputs for it."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    steps, channels = [("conv", 0, None, (3, draw(st.integers(2, 6)), 1))], [3]
    channels.append(steps[0][3][1])
    for _ in range(draw(st.integers(1, 7))):
        a = draw(st.integers(1, len(channels) - 1))
        c, same = channels[a], [i for i in range(1, len(channels)) if channels[i] == channels[a]]
        kind = draw(st.sampled_from(["conv", "conv", "depthwise", "norm", "relu", "add", "cat", "cat"]))
        b, setting = None, None
        if kind == "conv":
            groups = draw(st.sampled_from([k for k in (1, 2, 3) if c % k == 0]))
            setting = draw(st.sampled_from([1, 3])), draw(st.integers(1, 6)), groups
            c = setting[1] * groups
        elif kind == "depthwise":
            setting = draw(st.sampled_from([1, 2]))
            c *= setting
        elif kind == "add":
            b = draw(st.sampled_from(same))
        elif kind == "cat":
            b = draw(st.integers(1, len(channels) - 1))
            c += channels[b]
        if c <= 24:
            steps.append((kind, a, b, setting))
            channels.append(c)
    return Branching(steps, rng).eval(), rng.normal(size=(3, 3, 6, 6)).astype(np.float32)
