"""Networks with branches run on integers from their input to their logits, and as they were simulated."""

import numpy as np
import pytest

import compress
import nn
from nn import functional as F
from tests.compress.networks import statistics
from tests.compress.simulation import integers


class Block(nn.Module):
    """Two convolutions and a residual sum; a 1×1 convolution on the way round where the shape changes."""

    def __init__(self, before, after, stride, rng):
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False, rng=rng)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False, rng=rng)
        self.bn2 = nn.BatchNorm2d(after)
        self.around = None if before == after and stride == 1 else nn.Conv2d(before, after, 1, stride,
                                                            rng=rng)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.around is None else self.around(x)))


class Residual(nn.Module):
    """Stages of one block, 16-32, an average pool between them and a global one at the end."""

    def __init__(self, rng):
        self.stem = nn.Conv2d(1, 16, 3, padding=1, rng=rng)
        self.stage1, self.stage2 = Block(16, 16, 1, rng), Block(16, 32, 2, rng)
        self.fc = nn.Linear(32, 10, rng=rng)

    def forward(self, x):
        x = F.avg_pool2d(self.stage1(F.relu(self.stem(x))), 2)
        return self.fc(self.stage2(x).mean((2, 3)))


class ReLU6(nn.Module):
    """min(max(x, 0), 6)."""

    def forward(self, x):
        return F.clamp(x, 0.0, 6.0)


class Inverted(nn.Module):
    """Inverted bottlenecks (Sandler et al. 2018): wide, a filter a channel, narrow; ReLU6 between."""

    def __init__(self, rng):
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, rng=rng), ReLU6())
        self.wide = nn.Sequential(nn.Conv2d(8, 24, 1, bias=False, rng=rng), nn.BatchNorm2d(24), ReLU6())
        self.deep = nn.Sequential(nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False, rng=rng),
                                  nn.BatchNorm2d(24), ReLU6())
        self.narrow = nn.Conv2d(24, 8, 1, rng=rng)
        self.grouped = nn.Sequential(nn.Conv2d(8, 12, 3, 2, groups=4, rng=rng), nn.ReLU())
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(12, 10, rng=rng)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.narrow(self.deep(self.wide(x)))
        return self.fc(F.flatten(self.pool(self.grouped(x)), 1))


class Dense(nn.Module):
    """Each layer reads what all before it made (Huang et al. 2017)."""

    def __init__(self, rng):
        self.a = nn.Conv2d(1, 6, 3, padding=1, rng=rng)
        self.b = nn.Conv2d(6, 5, 3, padding=1, rng=rng)
        self.c = nn.Conv2d(11, 4, 1, rng=rng)
        self.fc = nn.Linear(15 * 16, 10, rng=rng)

    def forward(self, x):
        a = F.relu(self.a(x))
        b = F.relu(self.b(a))
        both = nn.cat([a, b], 1)
        x = F.max_pool2d(nn.cat([both, self.c(both)], 1), 2)
        return self.fc(F.flatten(x, 1))


class Around(nn.Module):
    """A residual sum with the network's own input."""

    def __init__(self, rng):
        self.conv, self.fc = nn.Conv2d(1, 1, 3, padding=1, rng=rng), nn.Linear(64, 10, rng=rng)

    def forward(self, x):
        return self.fc(F.flatten(F.relu(self.conv(x) + x), 1))


class Signals(nn.Module):
    """The rows of an image as a signal of 8 channels: convolutions with norms and clips, and a mean."""

    def __init__(self, rng, keepdim=False):
        self.a, self.norm = nn.Conv1d(8, 6, 3, padding=1, bias=False, rng=rng), nn.BatchNorm1d(6)
        self.b, self.fc, self.keepdim = nn.Conv1d(6, 5, 3, rng=rng), nn.Linear(5, 10, rng=rng), keepdim

    def forward(self, x):
        x = F.relu(self.norm(self.a(F.flatten(x, 1, 2))))
        x = F.clamp(self.b(x), -1.0, 2.0).mean(-1, keepdim=self.keepdim)
        return self.fc(F.flatten(x, 1))


IMAGES = [Residual, Inverted, Dense, Around]
NETWORKS = [*IMAGES, Signals, lambda rng: Signals(rng, keepdim=True)]


def prepared(build, seed=0):
    rng = np.random.default_rng(seed)
    model = build(rng)
    statistics(model, rng)
    for _, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data[:] = np.abs(module.weight.data)
    x = rng.normal(size=(24, 1, 8, 8)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    return model, x


@pytest.mark.parametrize("build", NETWORKS)
def test_it_stays_on_integers(build):
    model, x = prepared(build)
    program = compress.convert(model, integer=True)
    dtypes = [step.made.dtype for step in program.bound.steps]
    start = dtypes.index("uint8")
    assert set(dtypes[:start]) == {"float32"}    # the image with its channels last
    assert [step.kernel for step in program.bound.steps][start] == "quantize"
    assert set(dtypes[start:-2]) == {"uint8"}
    assert dtypes[-2:] == ["int32", "float32"]    # logits
    for name, (wanted, got) in integers(model, program, 1.3 * x).items() if build in IMAGES else ():
        np.testing.assert_array_equal(got, wanted, err_msg=name)


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("steps", [0, 3])
def test_what_is_simulated_is_what_runs(build, steps, tmp_path):
    model, x = prepared(build, 1)
    y = np.random.default_rng(2).integers(0, 10, len(x))
    optimizer = nn.optim.Adam(model.train().parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(nn.Tensor(x)), y).backward()
        optimizer.step()
    assert all(p.grad is not None for p in model.parameters()) or not steps
    program = compress.convert(model.eval())
    with nn.no_grad():
        np.testing.assert_array_equal(program(x), model(nn.Tensor(x)).data)
    compress.save(program, tmp_path / "p")
    np.testing.assert_array_equal(compress.load(tmp_path / "p")(x), program(x))


def test_a_clip_after_the_convolution_of_a_signal_is_its_own():
    model, _ = prepared(Signals)
    program = compress.convert(model, integer=True)
    assert [call.op for call in program.calls if "clip" in call.attributes] == ["conv2d", "conv2d"]
    assert "clip" not in {call.op for call in program.calls}
    assert [step.kernel for step in program.bound.steps if "pool" in step.kernel] == ["qavg_pool2d"]


def test_the_sum_with_the_networks_own_input_reads_what_the_layer_reads():
    model, _ = prepared(Around)
    kernels = [step.kernel for step in compress.convert(model, integer=True).bound.steps]
    assert kernels.count("quantize") == 1
    assert "qadd" in kernels


@pytest.mark.parametrize("build", NETWORKS)
def test_it_is_near_the_float_network(build):
    model, x = prepared(build, 3)
    program = compress.convert(model)
    compress.unprepare(model, project=False)
    with nn.no_grad():
        wanted = model.eval()(nn.Tensor(x)).data
    assert np.linalg.norm(program(x) - wanted) < 0.1 * np.linalg.norm(wanted)


def test_a_clip_that_the_grid_does_not_end_at_is_done_on_codes():
    """A ReLU6 and a hard tanh that share a grid: neither ends where the grid does."""
    class Two(nn.Module):
        def __init__(self, rng):
            self.a, self.b, self.fc = (nn.Linear(n, 4, rng=rng) for n in (4, 4, 8))

        def forward(self, x):
            return self.fc(nn.cat([F.clamp(self.a(x), 0.0, 6.0), F.clamp(self.b(x), -2.0, 1.0)], 1))

    model = Two(np.random.default_rng(0))
    model.a.weight.data *= 20
    model.b.weight.data *= 20
    x = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    program = compress.convert(model)
    values = program.every_value(x)
    ends = [(values[call.output].min(), values[call.output].max(), program.values[call.output].grid)
            for call in program.calls if "clip" in call.attributes]
    assert len(ends) == 2
    for (low, high, grid), (wanted_low, wanted_high) in zip(ends, [(0, 6), (-2, 1)], strict=True):
        assert grid.dequantize(low) == pytest.approx(wanted_low, abs=grid.scale)
        assert grid.dequantize(high) == pytest.approx(wanted_high, abs=grid.scale)
