"""Weight sharing: values and codes, zeros that stay, gradients of values, pruning first, the way to a
Program.
"""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Chain, Cluster, Context, Cubic, Prune
from compress.techniques.cluster import SHARED, error_at_most
from compress.techniques.shared import PrunedSharedWeight
from nn.kernels import kmeans1d
from nn.kernels.kmeans1d import nearest
from nn.tensor import Tensor, apply

FIT = Context("fc.weight", "linear")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def attached(stages, w):
    parameter = nn.Parameter(w.copy())
    Chain(stages).attach(parameter, FIT)
    return parameter


# k-means -----------------------------------------------------------------------------------------


# Han et al. (2016), figure 3: weights, two of which are 0 though nothing was pruned, and their gradients
FIGURE = np.array([[2.09, -0.98, 1.48, 0.09], [0.05, -0.14, -1.08, 2.12],
                   [-0.91, 1.92, 0, -1.03], [1.87, 0, 1.53, 1.49]], np.float32)  # fmt: skip
FIGURE_GRADIENT = np.array([[-0.03, -0.01, 0.03, 0.02], [-0.01, 0.01, -0.02, 0.12],
                            [-0.01, 0.02, 0.04, 0.01], [-0.07, -0.02, 0.01, -0.02]], np.float32)  # fmt: skip


def test_the_papers_own_figure_is_what_cluster_does():
    parameter = attached([Cluster(2)], FIGURE)
    codes = np.array([[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])
    for centroids in ([-1, 0, 1.5, 2], [-0.97, -0.04, 1.48, 1.96]):
        np.testing.assert_allclose(parameter.parametrized().data, np.array(centroids)[codes], atol=1e-6)
        optimizer = nn.optim.SGD(parameter.trainables(), lr=1)
        (parameter.parametrized() * FIGURE_GRADIENT).sum().backward()
        optimizer.step()
    stored = parameter.parametrization.encode(parameter.data)
    np.testing.assert_array_equal(stored.decode(), parameter.parametrized().data)


@pytest.mark.parametrize("zeros", [1, 5, 40])
def test_zeros_that_nobody_pruned_are_weights_like_any_other(zeros):
    w = normal(8, 8)
    w.ravel()[:zeros] = 0
    state = attached([Cluster(3)], w).parametrization.states[0]
    assert state.zero == -1
    np.testing.assert_array_equal(state.centroids.data, kmeans1d(w.ravel(), 8))
    np.testing.assert_array_equal(state.rates, 1)


@pytest.mark.parametrize("schedule", [compress.Once(), Cubic(end=3)])
def test_zeros_after_pruning_stay_whoever_made_them(schedule):
    w = normal(8, 8)
    w.ravel()[:5] = 0
    parameter = attached([Prune(0.05, schedule), Cluster(3)], w)  # prunes 3 of the 5 that are 0 already
    for step in range(1, 4):
        parameter.parametrization.update(parameter, step)
    assert parameter.parametrization.states[1].zero >= 0
    np.testing.assert_array_equal(parameter.parametrized().data == 0, w == 0)


def test_a_worked_example_of_the_paper():
    """Han et al. (2016), figure 3: a 4 × 4 weight, 4 values, gradients summed, a step of SGD."""
    w, g = FIGURE, FIGURE_GRADIENT.astype(np.float64)
    codes = [[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]]
    centroids = kmeans1d(w.ravel(), 4)
    np.testing.assert_allclose(centroids, [-1.0, 0.0, 1.5, 2.0], atol=1e-6)
    np.testing.assert_array_equal(nearest(w, centroids), codes)
    c = Tensor(centroids.astype(np.float64), requires_grad=True)
    (apply(SHARED, c, codes=np.array(codes), rates=np.ones(4)) * g).sum().backward()
    np.testing.assert_allclose(c.grad, [-0.03, 0.04, 0.02, 0.04], atol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 7, 16, 40])
def test_evenly_spaced_values_have_a_cost_that_is_known(k):
    """n = q·k + r points: r clusters of q + 1 and k − r of q, each m(m² − 1)/12 (what no price alone finds).
    """
    n = 48
    q, r = divmod(n, k)
    wanted = r * Fraction((q + 1) * ((q + 1) ** 2 - 1), 12) + (k - r) * Fraction(q * (q * q - 1), 12)
    values = np.arange(n, dtype=np.float32)
    centroids = kmeans1d(values, k)
    found = np.sum((values - centroids[nearest(values, centroids)]) ** 2)
    assert float(found) == pytest.approx(float(wanted))


def test_a_value_half_way_belongs_to_the_lower_centroid():
    centroids = np.array([-1, 1, 3], np.float32)
    values = np.array([[-9, 0, 2], [np.nextafter(np.float32(0), np.float32(1)), 9, 1]], np.float32)
    np.testing.assert_array_equal(nearest(values, centroids), [[0, 0, 1], [1, 2, 1]])


# Fitting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
def test_all_values_are_used_and_each_weight_has_the_nearest(bits):
    w = normal(40, 50)
    seen = attached([Cluster(bits)], w).parametrized().data
    values = np.unique(seen)
    assert len(values) == 2**bits
    np.testing.assert_array_equal(np.abs(w - seen), np.abs(w[..., None] - values).min(axis=-1))


def test_without_zeros_no_value_is_spent_on_zero():
    assert attached([Cluster(2)], np.abs(normal(8, 8)) + 1).parametrization.states[0].zero == -1


def test_a_pruned_weight_keeps_its_zeros_and_gives_them_one_value():
    parameter = attached([Prune(0.5), Cluster(2)], normal(8, 8))
    state = parameter.parametrization.states[1]
    assert state.centroids.data[state.zero] == 0
    assert len(np.unique(parameter.parametrized().data)) == 4
    np.testing.assert_array_equal(parameter.parametrized().data == 0,
                                  parameter.parametrization.states[0].mask == 0)


@pytest.mark.parametrize(("stages", "w", "found"), [
    ([Cluster(2)], np.array([[1, 2, 3]], np.float32), 3),
    ([Cluster(4)], np.tile(np.arange(15, dtype=np.float32), (3, 1)), 15),
    ([Cluster(8)], np.arange(255, dtype=np.float32).reshape(5, 51), 255),
    ([Prune(0.9), Cluster(2)], normal(4, 5), 3), ([Cluster(2)], np.zeros((3, 3), np.float32), 1),
])  # fmt: skip
def test_fewer_distinct_values_than_are_shared(stages, w, found):
    said = rf"fc\.weight has {found} different .* than the {2 ** stages[-1].bits} .*recipe, or None"
    with pytest.raises(ValueError, match=f"Cluster: {said}"):
        attached(stages, w)


def test_a_small_layer_of_a_recipe_gets_fewer_bits_or_none():
    def model():
        rng = np.random.default_rng(0)
        return nn.Sequential(nn.Linear(9, 9, rng=rng), nn.Linear(9, 1, rng=rng))

    with pytest.raises(ValueError, match=r"Cluster: 1\.weight has 9 different values, fewer than the 16"):
        compress.prepare(refused := model(), Cluster(4))
    assert all(parameter.parametrization is None for parameter in refused.parameters())
    for choice in (None, Cluster(3)):
        prepared = compress.prepare(model(), {"*": Cluster(4), "1": choice}, normal(4, 9))
        assert compress.convert(prepared)(normal(4, 9)).shape == (4, 1)


@pytest.mark.parametrize("bits", [1, 0, -4, 9, 16])
def test_bits_outside_2_to_8_are_refused(bits):
    with pytest.raises(ValueError, match=rf"Cluster: bits must be in 2…8; got {bits}"):
        Cluster(bits)


@pytest.mark.parametrize("bits", ["4", 4.0, None, True], ids=str)
def test_bits_that_are_no_number_are_refused(bits):
    with pytest.raises(TypeError, match="Cluster: bits must be a whole number"):
        Cluster(bits)


def test_a_gradient_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="gradient must be 'sum' or 'mean'; got 'max'"):
        Cluster(4, gradient="max")


def test_two_chains_on_one_weight_are_refused():
    model = compress.prepare(nn.models.digits_mlp(0.2, rng=np.random.default_rng(0)), {"fc1": Cluster(4)})
    with pytest.raises(ValueError, match=r"fc1\.weight has a parametrization already .*Cluster.*one chain"):
        compress.prepare(model, {"fc1": Prune(0.5)})


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.sampled_from(["normal", "heavy", "even"]))
def test_the_certified_error_is_one(seed, k, kind):
    rng = np.random.default_rng(seed)
    values = {"normal": rng.standard_normal, "heavy": lambda n: rng.standard_normal(n) ** 7,
              "even": lambda n: np.arange(n) * 1.0}[kind](60).astype(np.float32)
    centroids = kmeans1d(values, k).astype(np.float64)
    found = np.linalg.norm(values - centroids[nearest(values, centroids)])
    assert found <= error_at_most(values, k)


# Training ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [np.ones(3), np.array([0.5, 0, 2])])
def test_the_rule_is_that_of_its_formula(rates):
    codes = np.random.default_rng(0).integers(0, 3, (4, 5))
    c = Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    direction = np.random.default_rng(1).standard_normal((4, 5))
    (apply(SHARED, c, codes=codes, rates=rates) * direction).sum().backward()
    np.testing.assert_allclose(c.grad, [rates[j] * direction[codes == j].sum() for j in range(3)])
    if np.all(rates == 1):
        nn.gradcheck(lambda c: apply(SHARED, c, codes=codes, rates=rates), c.data)


def digits(model, optimizer, epochs=1, count=640):
    data = nn.data.digits()
    return nn.train.fit(model, data.x_train[:count], data.y_train[:count], epochs=epochs, optimizer=optimizer,
                        rng=np.random.default_rng(0), progress=False)  # fmt: skip


def way_of(gradient, build):
    """Where the values of fc1 start, and where 30 steps lead them."""
    model = nn.models.digits_mlp(0.2, rng=np.random.default_rng(0))
    compress.prepare(model, {"fc1": Cluster(4, gradient)})
    centroids = model.fc1.weight.parametrization.states[0].centroids
    start = centroids.data.copy()
    digits(model, build(model.parameters()), epochs=3)
    return start, centroids.data


@pytest.mark.parametrize(("build", "low", "high"), [
    (lambda p: nn.optim.Adam(p, lr=1e-3), 0.0, 0.03), (lambda p: nn.optim.SGD(p, lr=1e-3), 0.9, 1.0)],
    ids=["Adam", "SGD"])  # fmt: skip
def test_adam_hardly_sees_whether_gradients_are_summed_or_averaged(build, low, high):
    (start, by_sum), (_, by_mean) = way_of("sum", build), way_of("mean", build)
    apart = np.linalg.norm(by_sum - by_mean) / np.linalg.norm(by_sum - start)
    assert low <= apart <= high


def test_the_values_are_trained_and_nothing_else_of_the_weight():
    model = nn.models.digits_mlp(0.2, rng=np.random.default_rng(0))
    compress.prepare(model, Cluster(4))
    trained = list(model.parameters())
    for layer in (model.fc1, model.fc2, model.fc3):
        assert any(layer.weight.parametrization.states[0].centroids is one for one in trained)
        assert not any(layer.weight is one for one in trained)
    log = digits(model, nn.optim.Adam(trained, lr=3e-3), epochs=4)
    assert log[-1].loss < log[0].loss
    np.testing.assert_array_equal(model.fc1.weight.data, model.fc1.weight.parametrized().data)
    errors = compress.weight_errors(model)
    assert errors.measured == errors.certified == 0


def test_an_optimizer_built_before_is_refused():
    model = nn.models.digits_mlp(0.2, rng=np.random.default_rng(0))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    compress.prepare(model, {"fc1": Cluster(4)})
    with pytest.raises(RuntimeError, match="after preparing"):
        digits(model, optimizer)


def test_weights_are_pruned_first_and_shared_when_the_schedule_ends():
    model = nn.models.digits_mlp(0.2, rng=np.random.default_rng(0))
    example = nn.data.digits().x_train[:64]
    compress.prepare(model, {"fc1": [Prune(0.8, Cubic(end=12)), Cluster(3)]}, example)
    w, optimizer = model.fc1.weight, nn.optim.Adam(model.parameters(), lr=3e-3)
    before = w.data.copy()
    digits(model, optimizer, epochs=1)  # 10 steps
    assert not w.parametrization.states[1].shares
    assert np.any(w.data != before)
    with pytest.raises(ValueError, match="schedule stands at step 10 of 12"):
        compress.convert(model)
    digits(model, optimizer, epochs=1)
    mask, state = w.parametrization.states[0].mask.copy(), w.parametrization.states[1]
    assert state.shares
    shared = state.centroids.data.copy()
    digits(model, optimizer, epochs=2)
    assert np.any(state.centroids.data != shared)
    np.testing.assert_array_equal(w.parametrized().data != 0, mask != 0)
    assert np.count_nonzero(mask == 0) == round(0.8 * w.size)
    assert isinstance(compress.convert(model).constants["fc1.weight"], PrunedSharedWeight)


def test_a_chain_that_waits_for_a_pruning_that_is_not_its_own_says_so():
    state = Cluster(2).fit(normal(4, 4), Context("fc.weight", settled=5))
    with pytest.raises(ValueError, match=r"fc\.weight is shared from optimizer step 5 on"):
        Cluster(2).encode(normal(4, 4), state)


KILLED = """
import sys, numpy as np, nn, compress
model = nn.models.digits_mlp(0.2, rng=np.random.default_rng(0))
pruned = [compress.Prune(0.8, compress.Cubic(end=6)), compress.Cluster(3)]
compress.prepare(model, {"fc1": pruned, "fc2": compress.Cluster(4)})
data = nn.data.digits()
def stop(step, loss):
    if step == int(sys.argv[2]): sys.exit(0)
nn.train.fit(model, data.x_train[:320], data.y_train[:320], epochs=3, rng=np.random.default_rng(0),
             optimizer=nn.optim.Adam(model.parameters(), lr=3e-3), progress=False, on_step=stop,
             checkpoint=sys.argv[1])
for layer in (model.fc1, model.fc2, model.fc3):
    print(layer.weight.parametrized().data.tobytes().hex())
"""


@pytest.mark.parametrize("step", [3, 8, 13], ids=["while-pruning", "while-sharing", "at-the-end"])
def test_a_run_that_stopped_goes_on_to_the_same_bits(step, tmp_path):
    def run(checkpoint, stop):
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / checkpoint), str(stop)],
                              capture_output=True, text=True, check=True)  # fmt: skip
        return done.stdout

    assert run("whole", -1) == (run("cut", step), run("cut", -1))[1] != ""


@pytest.mark.parametrize("none", [Prune(0.0), Prune(0.01), Prune(0.0, Cubic(end=2))])
def test_pruning_that_prunes_nothing_pins_no_zero(none):
    """Han et al., figure 3, after a stage that leaves all 16 weights."""
    w = [[2.09, -0.98, 1.48, 0.09], [0.05, -0.14, -1.08, 2.12],
         [-0.91, 1.92, 0, -1.03], [1.87, 0, 1.53, 1.49]]
    parameter = attached([none, Cluster(2)], np.array(w, np.float32))
    for step in (1, 2):
        parameter.parametrization.update(parameter, step)
    np.testing.assert_allclose(np.unique(parameter.parametrized().data), [-1, 0, 1.5, 2], atol=1e-6)


def test_weights_that_are_no_numbers_any_more_are_divergence():
    model = nn.Sequential(nn.Linear(8, 4))
    compress.prepare(model, [Prune(0.5, Cubic(end=1)), Cluster(2)])
    x, y = np.ones((6, 8), np.float32), np.full((6, 4), 1e10, np.float32)
    optimizer = nn.optim.SGD(model.parameters(), lr=1e38)
    with pytest.raises(nn.train.Diverged, match="NaN or infinity"):
        nn.train.fit(model, x, y, optimizer=optimizer, epochs=3, rng=np.random.default_rng(0),
                     loss=nn.functional.mse_loss, progress=False)
