"""Assignment 10: training through rounding

A network whose weights and activations have 2 bits each loses much when it is rounded after training. You
train it with the rounding in place. `notebooks/14_straight_through.py` prepares this assignment.

1. Numbers v become codes, q = clip(round(v / step), low, high), integers, halves to the even one; what a code
   stands for is step · q. So 0 is exact. With b bits, activations have codes 0 … 2^b − 1 (below 0 they become
   0: that is the ReLU), weights −(2^(b − 1) − 1) … 2^(b − 1) − 1. A first step follows from the data,
   2 · mean|v| / √high (Esser et al. 2020, "Learned Step Size Quantization", §2.1), or is 1 if all are 0.

2. fake(v, step) = step · q has slope 0 almost everywhere. *Clipped straight-through* (Bengio et al. 2013)
   takes the slopes of another formula. With e = round(v / step) − v / step, held fixed,

       ŷ(v, step) = v + step · e                   where low ≤ v / step ≤ high,
                    step · low, or step · high     out of range, below or above.

   Its value is that of fake; its derivatives by v and by step (LSQ, eq. 3) are yours to find.

3. A layer is a dict: w (in, out), b (out,), step_w, step_x, bits. It computes fake(x) @ fake(w) + b, and so
   does a product of integers, step_x · step_w · (codes of x @ codes of w) + b: what is trained is what runs.

4. Training is gradient descent, a move a batch, at a rate that falls: for batch i of n, from 0 on, it is
   r = rate · (1 − i / n). Every w and b moves by −r · gradient; a step by −r · gradient / √(count · high)
   (LSQ, §2.2: it would move too fast), count being the numbers in w, or in one example of x, but never below
   half of what it was, so that it stays positive. All gradients are those before the move.

Arrays that come in stay as they are. Run this file to see what holds; more is looked at when it is graded.
"""

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import nn
from compress.classroom import expect, graded, main


def of_weights(bits):
    """The lowest and the highest code of a weight."""
    return -(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1


def of_activations(bits):
    """The lowest and the highest code of an activation."""
    return 0, 2**bits - 1


def layer_forward(x, layer):
    """What a layer computes in training, of x (N, in): (N, out)."""
    return (fake(x, layer["step_x"], *of_activations(layer["bits"]))
            @ fake(layer["w"], layer["step_w"], *of_weights(layer["bits"])) + layer["b"])


def loss_gradient(logits, labels):
    """The gradient of the mean cross-entropy by the logits (N, classes)."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return p / len(labels)


# Here you write. The functions above are given.

def first_step(v, high):
    """The first step for the numbers v, a positive float."""
    ### BEGIN SOLUTION
    mean = np.abs(v).mean()
    return float(2 * mean / np.sqrt(high)) if mean > 0 else 1.0
    ### END SOLUTION


def codes(v, step, low, high):
    """The codes of v, int16 of its shape."""
    ### BEGIN SOLUTION
    return np.clip(np.rint(v / step), low, high).astype(np.int16)
    ### END SOLUTION


def fake(v, step, low, high):
    """What the codes of v stand for, float64 of its shape."""
    ### BEGIN SOLUTION
    return step * codes(v, step, low, high).astype(np.float64)
    ### END SOLUTION


def fake_backward(g, v, step, low, high):
    """From the gradient g by what `fake` returned, by the formula ŷ: a tuple of the gradients by v, float64
    of its shape, and by step, a float."""
    ### BEGIN SOLUTION
    steps = v / step
    inside = (low <= steps) & (steps <= high)
    by_step = np.where(inside, np.rint(steps) - steps, np.clip(steps, low, high))
    return g * inside, float((g * by_step).sum())
    ### END SOLUTION


def integer_layer(x, layer):
    """A layer as it runs: a tuple of the sums of products of codes, int32 (N, out), and its output from them,
    float64 (N, out)."""
    ### BEGIN SOLUTION
    q_x = codes(x, layer["step_x"], *of_activations(layer["bits"])).astype(np.int32)
    q_w = codes(layer["w"], layer["step_w"], *of_weights(layer["bits"])).astype(np.int32)
    sums = q_x @ q_w
    return sums, layer["step_x"] * layer["step_w"] * sums + layer["b"]
    ### END SOLUTION


def layer_backward(g, x, layer):
    """From the gradient g (N, out) by the output of `layer_forward`: a dict of the gradients by "x", "w" and
    "b", arrays of their shapes, and by "step_x" and "step_w", floats."""
    ### BEGIN SOLUTION
    ends_x, ends_w = of_activations(layer["bits"]), of_weights(layer["bits"])
    seen_x, seen_w = fake(x, layer["step_x"], *ends_x), fake(layer["w"], layer["step_w"], *ends_w)
    by_x, by_step_x = fake_backward(g @ seen_w.T, x, layer["step_x"], *ends_x)
    by_w, by_step_w = fake_backward(seen_x.T @ g, layer["w"], layer["step_w"], *ends_w)
    return {"x": by_x, "w": by_w, "b": g.sum(axis=0), "step_x": by_step_x, "step_w": by_step_w}
    ### END SOLUTION


def train(layers, batches, rate):
    """The layers after training on the batches, a list of (x, labels), one step each."""
    ### BEGIN SOLUTION
    layers = [dict(layer) for layer in layers]
    for i, (x, labels) in enumerate(batches):
        r = rate * (1 - i / len(batches))
        read = [x]
        for layer in layers:
            read.append(layer_forward(read[-1], layer))
        g = loss_gradient(read.pop(), labels)
        for layer, x in zip(reversed(layers), reversed(read), strict=True):
            by = layer_backward(g, x, layer)
            g = by["x"]
            layer["w"], layer["b"] = layer["w"] - r * by["w"], layer["b"] - r * by["b"]
            for name, count, (_, high) in (("step_x", x.shape[1], of_activations(layer["bits"])),
                                           ("step_w", layer["w"].size, of_weights(layer["bits"]))):
                moved = layer[name] - r * by[name] / np.sqrt(count * high)
                layer[name] = max(float(moved), layer[name] / 2)
    return layers
    ### END SOLUTION


# What is graded. `student` is the module that was handed in. (Functions of your own stand above this line,
# and have other names than those below it.)

SEEDS = st.integers(0, 999)
BITS = st.integers(2, 8)
STEPS = st.sampled_from([0.25, 1.0, 2.0])
RANGES = st.tuples(BITS, st.sampled_from([of_weights, of_activations])).map(lambda drawn: drawn[1](drawn[0]))
SHAPES = st.sampled_from([(5,), (3, 4), (2, 3, 2)])
STEP_NAMES = ("step_x", "step_w")


def reals(shape, seed, step, ends):
    """Multiples of step / 8, many of them half-way or at an end, some out of range: all here is exact."""
    rng, (low, high) = np.random.default_rng(seed), ends
    v = rng.integers(4 * low - 4 * high - 9, 12 * high + 9, shape) / 8
    special = np.array([0, 0.5, 1.5, low, high, low - 0.25, high + 0.25, high + 9, -1])
    return step * np.where(rng.random(shape) < 0.5, rng.choice(special, shape), v)


def drawn_layer(seed, bits, sizes):
    """A layer of such numbers, and inputs (3, in) for it."""
    step_x, step_w = np.random.default_rng(seed).choice([0.25, 0.5, 1.0, 2.0], 2).tolist()
    layer = {"w": reals(sizes, seed, step_w, of_weights(bits)), "b": np.arange(sizes[1]) / 4, "bits": bits,
             "step_w": step_w, "step_x": step_x}
    return layer, reals((3, sizes[0]), seed + 1, step_x, of_activations(bits))


def frozen(v, step, low, high):
    """ŷ near v and step: a function of others, with e, and what is out of range, held fixed."""
    steps = v / step
    inside = (low <= steps) & (steps <= high)
    e, end = np.rint(steps) - steps, np.clip(steps, low, high)
    return lambda v, step: np.where(inside, v + step * e, step * end)


def like(value, old, what):
    """The value, if it is a dict with arrays and numbers where the other has them."""
    assert isinstance(value, dict), f"{what}: wanted a dict, got {value!r}"
    assert set(value) == set(old), f"{what}: wanted {sorted(old)}, got {sorted(value)}"
    for name, one in old.items():
        if isinstance(one, np.ndarray):
            expect.array(value[name], f"{name} of {what}", dtype=np.float64, shape=one.shape)
        else:
            expect.real(value[name], f"{name} of {what}")
    return value


def gradients_of(student, g, x, layer):
    """What `layer_backward` returns, checked, and by what."""
    of = {"x": x, **{name: layer[name] for name in ("w", "b", *STEP_NAMES)}}
    return like(student.layer_backward(g, x, layer), of, "layer_backward"), of


def slope(f, at, h=2.0**-10):
    """Central differences of a function of an array, or of a number, by each of its numbers."""
    at = np.asarray(at, float)
    moves = h * np.eye(at.size).reshape(-1, *at.shape)
    return np.array([(f(at + move) - f(at - move)) / (2 * h) for move in moves]).reshape(at.shape)


def backward_of(student, g, v, step, ends):
    """What `fake_backward` returns, checked."""
    by_v, by_step = expect.items(student.fake_backward(g, v, step, *ends), "fake_backward", 2)
    assert not student.fake_backward.changed, "fake_backward writes into what it is given"
    return (expect.array(by_v, "the gradient by v", dtype=np.float64, shape=v.shape),
            expect.real(by_step, "the gradient by step"))


@graded(points=1)
@given(shape=SHAPES, seed=SEEDS, high=st.sampled_from([1, 3, 127]))
def the_first_step_follows_from_the_data(student, shape, seed, high):
    """2 · mean|v| / √high, and 1 where all numbers are 0."""
    v = np.random.default_rng(seed).normal(size=shape)
    for numbers, wanted in ((v, 2 * np.abs(v).mean() / high**0.5), (np.zeros(shape), 1)):
        step = expect.real(student.first_step(numbers, high), "first_step")
        assert abs(step - wanted) <= 1e-9 * wanted, f"v = {numbers.tolist()}: wanted {wanted}, got {step}"


@graded(points=2)
@given(shape=SHAPES, seed=SEEDS, step=STEPS, ends=RANGES)
def codes_are_the_nearest_in_range(student, shape, seed, step, ends):
    """Each number gets the nearest code, of two the even one, and the end of the range beyond it."""
    v = reals(shape, seed, step, ends)
    got = expect.array(student.codes(v, step, *ends), "codes", dtype=np.int16, shape=shape)
    for one, code in zip((v / step).ravel().tolist(), got.ravel().tolist(), strict=True):
        wanted = min(max(round(one), ends[0]), ends[1])
        assert code == wanted, f"{one} steps, range {ends[0]} … {ends[1]}: wanted {wanted}, got {code}"


@graded(points=2)
@given(seed=SEEDS, step=st.sampled_from([0.25, 0.3, 1.7]), ends=RANGES)
def fake_is_a_staircase(student, seed, step, ends):
    """0 stays exactly 0, the second time changes nothing, and it never falls."""
    v = np.sort(np.append(np.random.default_rng(seed).uniform(ends[0] - 1, ends[1] + 1, 30), 0.0)) * step
    y = expect.array(student.fake(v, step, *ends), "fake", dtype=np.float64, shape=v.shape)
    assert y[v == 0] == 0, f"0 becomes {y[v == 0]}"
    again = expect.array(student.fake(y, step, *ends), "fake", dtype=np.float64, shape=v.shape)
    assert (again == y).all(), f"{y[again != y][0]} becomes {again[again != y][0]} when it is quantized again"
    falls = np.flatnonzero(np.diff(y) < 0)
    assert falls.size == 0, f"{v[falls[0]]:.4g} becomes {y[falls[0]]:.4g}, and {v[falls[0] + 1]:.4g} less"


@graded(points=2)
@given(shape=SHAPES, seed=SEEDS, step=STEPS, ends=RANGES)
def gradients_are_those_of_the_formula(student, shape, seed, step, ends):
    """The gradients by v and by step are those of Σ g · ŷ(v, step), by finite differences."""
    v, g = reals(shape, seed, step, ends), np.random.default_rng(seed + 1).integers(-8, 9, shape) / 4
    by_v, by_step = backward_of(student, g, v, step, ends)
    near = frozen(v, step, *ends)
    wanted = slope(lambda other: float((g * near(other, step)).sum()), v)
    said = f"v = {(v / step).tolist()} steps, range {ends[0]} … {ends[1]}, g = {g.tolist()}: the gradient by"
    assert np.abs(by_v - wanted).max() <= 1e-6, f"{said} v is {wanted.tolist()}, got {by_v.tolist()}"
    wanted = slope(lambda other: float((g * near(v, other)).sum()), step)
    assert abs(by_step - wanted) <= 1e-6, f"{said} step is {wanted:g}, got {by_step:g}"


@graded(points=1)
@given(shape=SHAPES, seed=SEEDS, step=STEPS, ends=RANGES)
def nothing_passes_out_of_range(student, shape, seed, step, ends):
    """By v, the gradient is exactly 0 out of range, and exactly g within."""
    v, g = reals(shape, seed, step, ends), np.random.default_rng(seed + 1).normal(size=shape)
    by_v, _ = backward_of(student, g, v, step, ends)
    wanted = np.where((v < step * ends[0]) | (v > step * ends[1]), 0, g)
    assert (by_v == wanted).all(), f"at {v / step} steps, range {ends}: wanted {wanted}, got {by_v}"


def runs(student, x, layer):
    """What `integer_layer` returns, checked."""
    sums, y = expect.items(student.integer_layer(x, layer), "integer_layer", 2)
    shape = len(x), len(layer["b"])
    return (expect.array(sums, "the sums of integer_layer", dtype=np.int32, shape=shape),
            expect.array(y, "the output of integer_layer", dtype=np.float64, shape=shape))


@graded(points=3)
@given(seed=SEEDS, bits=BITS, sizes=st.sampled_from([(3, 2), (4, 5), (300, 1)]))
def what_is_trained_is_what_runs(student, seed, bits, sizes):
    """The sums of products of codes are exact, and give the output of fake weights and activations."""
    layer, x = drawn_layer(seed, bits, sizes)
    sums, y = runs(student, x, layer)
    q_x, q_w = (expect.array(student.codes(v, step, *ends), "codes", shape=v.shape).astype(object)
                for v, step, ends in ((x, layer["step_x"], of_activations(bits)),
                                      (layer["w"], layer["step_w"], of_weights(bits))))
    wanted = (q_x @ q_w).astype(np.int64)
    assert (sums == wanted).all(), f"of the codes {q_x.tolist()} and {q_w.tolist()} got {sums.tolist()}"
    seen_x = expect.array(student.fake(x, layer["step_x"], *of_activations(bits)), "fake", shape=x.shape)
    seen_w = expect.array(student.fake(layer["w"], layer["step_w"], *of_weights(bits)), "fake", shape=sizes)
    trained = seen_x @ seen_w + layer["b"]  # exact: steps are powers of two
    assert (y == trained).all(), f"trained is {trained}, what runs gives {y}"


@graded(points=2)
@given(seed=SEEDS, bits=BITS)
def a_layer_has_five_gradients(student, seed, bits):
    """By x, w, b and both steps: those of Σ g · (ŷ(x) @ ŷ(w) + b), by finite differences."""
    layer, x = drawn_layer(seed, bits, (2, 3))
    g = np.random.default_rng(seed + 2).integers(-4, 5, (3, 3)) / 4
    got, of = gradients_of(student, g, x, layer)
    near_x = frozen(x, layer["step_x"], *of_activations(bits))
    near_w = frozen(layer["w"], layer["step_w"], *of_weights(bits))
    for name in of:
        def total(value, name=name):
            x, w, b, step_x, step_w = {**of, name: value}.values()
            return float((g * (near_x(x, step_x) @ near_w(w, step_w) + b)).sum())

        wanted = slope(total, of[name])
        assert np.abs(got[name] - wanted).max() <= 1e-6 * (1 + np.abs(wanted).max()), (
            f"by {name}: wanted {wanted.tolist()}, got {got[name]!r}")


def trained_by(student, layers, batches, rate):
    """What `train` returns, checked."""
    got = expect.items(student.train(layers, batches, rate), "train", len(layers))
    assert not student.train.changed, "train writes into the layers or the batches that it is given"
    return [like(layer, old, "train") for layer, old in zip(got, layers, strict=True)]


@graded(points=2)
@given(seed=SEEDS, rate=st.sampled_from([0.05, 1.0]))
def a_step_is_the_rule(student, seed, rate):
    """Two batches: w, b and the steps move as said, by the gradients that layer_backward gives."""
    rng = np.random.default_rng(seed)
    layers = [drawn_layer(seed + i, 2, sizes)[0] for i, sizes in enumerate([(3, 4), (4, 2)])]
    batches = [(rng.uniform(0, 3, (3, 3)), rng.integers(0, 2, 3)) for _ in range(2)]
    got = trained_by(student, layers, batches, rate)
    for r, (x, labels) in zip((rate, rate / 2), batches, strict=True):
        read = [x, expect.array(student.layer_forward(x, layers[0]), "layer_forward", shape=(3, 4))]
        logits = student.layer_forward(read[1], layers[1])
        g = loss_gradient(expect.array(logits, "layer_forward", shape=(3, 2)), labels)
        for i in (1, 0):
            old, (by, _) = layers[i], gradients_of(student, g, read[i], layers[i])
            counts = {"step_x": len(old["w"]) * 3, "step_w": old["w"].size}
            layers[i] = {"bits": 2, **{name: old[name] - r * by[name] for name in ("w", "b")},
                         **{name: max(old[name] - r * by[name] / counts[name]**0.5, old[name] / 2)
                            for name in STEP_NAMES}}
            g = by["x"]
    for i, (layer, wanted) in enumerate(zip(got, layers, strict=True)):
        for name in wanted:
            assert np.abs(layer[name] - wanted[name]).max() <= 1e-9, (
                f"layer {i}, {name}, after two batches: wanted {wanted[name]!r}, got {layer[name]!r}")


@cache
def trained_floats(seed):
    """The (w, b) of a float network 64-16-16-10, trained on the digits."""
    rng, digits = np.random.default_rng(seed), nn.data.digits()
    first, second, third = (nn.Linear(*sizes, rng=rng) for sizes in ((64, 16), (16, 16), (16, 10)))
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
    nn.train.fit(model, digits.x_train.reshape(-1, 64), digits.y_train, epochs=8, rng=rng, progress=False,
                 optimizer=nn.optim.Adam(model.parameters(), lr=1e-2))
    return [tuple(one.data.T.astype(np.float64) for one in (layer.weight, layer.bias))
            for layer in (first, second, third)]


def rounded(student, floats, x):
    """Its layers with 8, 2 and 8 bits, and first steps from w and from what each reads for x as floats."""
    layers = []
    for (w, b), bits in zip(floats, (8, 2, 8), strict=True):
        steps = [expect.real(student.first_step(v, high), "first_step")
                 for v, (_, high) in ((x, of_activations(bits)), (w, of_weights(bits)))]
        layers.append({"w": w, "b": b, "bits": bits, **dict(zip(STEP_NAMES, steps, strict=True))})
        x = np.maximum(x @ w + b, 0)
    return layers


### BEGIN HIDDEN TESTS
@graded(points=3)
def training_pays(student):
    """Of 8 networks, whose weights in the middle have all codes of 2 bits, run by integers: the mean gain by
    training is beyond two of its standard errors."""
    digits, gains = nn.data.digits(), []
    images, tests = (x.reshape(-1, 64).astype(np.float64) for x in (digits.x_train, digits.x_test))
    for seed in range(8):
        layers = rounded(student, trained_floats(seed), images[:200])
        rows = [np.random.default_rng(seed).permutation(len(images))[i::22] for i in range(22)]
        batches, right = [(images[one], digits.y_train[one]) for one in rows] * 2, []
        for network in (layers, trained_by(student, layers, batches, 0.1)):
            x, (_, w, _) = tests, network
            used = expect.array(student.codes(w["w"], w["step_w"], *of_weights(2)), "codes", shape=(16, 16))
            assert {*used.ravel().tolist()} == {-1, 0, 1}, f"weights have the codes {np.unique(used)}"
            for layer in network:
                _, x = runs(student, x, layer)
            right.append(100 * (x.argmax(axis=1) == digits.y_test).mean())
        gains.append(right[1] - right[0])
    error = np.std(gains, ddof=1) / np.sqrt(len(gains))
    assert np.mean(gains) > 2 * error, f"points of accuracy gained: {gains}; standard error {error:.2f}"


### END HIDDEN TESTS
if __name__ == "__main__":
    main(__file__)
