"""Assignment 13: teach a student

A small network, the student, learns from what a larger one, its teacher, thinks of all classes (Hinton,
Vinyals & Dean 2015, "Distilling the knowledge in a neural network"). You write the loss, what several
teachers say together, and the training. `notebooks/17_distillation.py` prepares this assignment.

1. At a temperature T > 0 logits v become probabilities p = softmax(v / T), eᵛⁱ⸍ᵀ over the sum of all. Logits
   may be as large as 1000 or −1000. Several teachers, logits (K, N, C), say the mean of their probabilities.

2. The soft loss of logits z (N, C) of the student, with q = softmax(z / T), is

       T² · (1/N) Σ_n Σ_i p_ni · (log p_ni − log q_ni),          where 0 · log 0 = 0.

   The factor T² keeps gradients as large as they are at T = 1. The gradient of this by z is yours to find; p
   is held fixed. log q stays finite where q is too small for a number: take it from the logits.

3. The loss of a batch is soft · (soft loss) + (1 − soft) · (mean cross-entropy of the labels at T = 1), with
   0 <= soft <= 1. A label of −1 says that there is none: such examples have a soft loss alone, and the mean
   of the cross-entropy is over those that have a label; if none has, it is 0.

4. The student here is linear: a dict of w (F, C) and b (C,), logits x @ w + b. Training is gradient descent,
   a move −rate · gradient a batch, of both at once. In each epoch batches come in the order that is given: an
   array of row numbers, cut into pieces of `size`, of which the last may be shorter. What the teachers say of
   all rows was recorded, (K, N, C); each batch needs that of its own rows.

5. How few weights are enough? Students are tried by bisection: of widths that rise, the first whose accuracy
   is at least what is wanted, if accuracies rise with them. The widest is tried first; if that is not good
   enough, the answer is None. No width is tried twice, and of n widths at most 1 + ⌈log₂ n⌉.

Arrays that come in stay as they are. Run this file to see what holds; more is looked at when it is graded.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main


def softened(logits, temperature):
    """Probabilities, float64 (N, C): of one teacher's logits (N, C), or the mean of those of K, (K, N, C)."""
    ### BEGIN SOLUTION
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    p = powers / powers.sum(axis=-1, keepdims=True)
    return p if p.ndim == 2 else p.mean(axis=0)
    ### END SOLUTION


def soft_loss(z, p, temperature):
    """The soft loss, a float, of the student's logits z for the teacher's probabilities p, both (N, C)."""
    ### BEGIN SOLUTION
    scaled = z / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    log_q = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    log_p = np.log(np.where(p > 0, p, 1))
    return float(temperature**2 * (p * (log_p - log_q)).sum() / len(z))
    ### END SOLUTION


def soft_gradient(z, p, temperature):
    """Its gradient by z, float64 (N, C)."""
    ### BEGIN SOLUTION
    return temperature * (softened(z, temperature) - p) / len(z)
    ### END SOLUTION


def gradient(z, p, labels, temperature, soft):
    """The gradient of the loss of a batch by z, float64 (N, C). labels: integers (N,), −1 for none."""
    ### BEGIN SOLUTION
    hard = softened(z, 1)
    known = labels >= 0
    hard[known, labels[known]] -= 1
    hard[~known] = 0
    hard /= max(known.sum(), 1)
    return soft * soft_gradient(z, p, temperature) + (1 - soft) * hard
    ### END SOLUTION


def train(student, x, labels, said, orders, size, temperature, soft, rate):
    """The student, a new dict, after an epoch for each of `orders`; said (K, N, C): the teachers' logits."""
    ### BEGIN SOLUTION
    w, b = student["w"].copy(), student["b"].copy()
    p = softened(said, temperature)
    for order in orders:
        for start in range(0, len(order), size):
            rows = order[start:start + size]
            g = gradient(x[rows] @ w + b, p[rows], labels[rows], temperature, soft)
            w, b = w - rate * x[rows].T @ g, b - rate * g.sum(axis=0)
    return {"w": w, "b": b}
    ### END SOLUTION


def smallest(accuracy, widths, wanted):
    """The first of the widths, a rising list, with accuracy(width) >= wanted, by bisection; None if none."""
    ### BEGIN SOLUTION
    if accuracy(widths[-1]) < wanted:
        return None
    low, high = 0, len(widths) - 1
    while low < high:
        middle = (low + high) // 2
        if accuracy(widths[middle]) >= wanted:
            high = middle
        else:
            low = middle + 1
    return widths[high]
    ### END SOLUTION


# What is graded. `student` is the module that was handed in. (Functions of your own stand above this line,
# and have other names than those below it.)

SEEDS = st.integers(0, 999)
SIZES = st.tuples(st.integers(1, 4), st.integers(2, 5))  # N, C
TEMPERATURES = st.sampled_from([0.5, 1.0, 2.0, 4.0, 20.0])


def logits_of(seed, *shape):
    """Logits, some of them far from the others."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, rng.choice([1.0, 4.0]), shape)


def probabilities(v, temperature):
    """softmax(v / T), by exact shifts."""
    raised = np.exp((v - v.max(axis=-1, keepdims=True)) / temperature)
    return raised / raised.sum(axis=-1, keepdims=True)


def divergence(z, p, temperature):
    """The soft loss, written out for moderate logits."""
    log_q = np.log(probabilities(z, temperature))
    return temperature**2 * sum(p_i * (np.log(p_i) - log_q_i) for p_i, log_q_i in zip(
        p.ravel(), log_q.ravel(), strict=True) if p_i > 0) / len(z)


def loss_of(z, p, labels, temperature, soft):
    """The loss of a batch."""
    known = np.flatnonzero(labels >= 0)
    hard = [-np.log(probabilities(z[n], 1.0)[labels[n]]) for n in known]
    return soft * divergence(z, p, temperature) + (1 - soft) * (np.mean(hard) if hard else 0.0)


def slope(f, z, h=1e-5):
    """Central differences of a function of an array by each of its numbers."""
    moves = h * np.eye(z.size).reshape(-1, *z.shape)
    return np.array([(f(z + move) - f(z - move)) / (2 * h) for move in moves]).reshape(z.shape)


def close(found, wanted, said, tolerance=1e-9):
    """AssertionError unless they differ by rounding only."""
    worst = np.abs(np.asarray(found) - wanted).max()
    assert worst <= tolerance * (1 + np.abs(wanted).max()), (
        f"{said}: wanted {np.asarray(wanted).tolist()}, got {np.asarray(found).tolist()}")


def array_of(student, name, shape, *arguments):
    """What a function of the hand-in gives for these arguments: float64 of that shape."""
    found = expect.array(getattr(student, name)(*arguments), name, dtype=np.float64, shape=shape)
    assert not getattr(student, name).changed, f"{name} writes into what it is given"
    return found


@graded(points=2)
@given(SIZES, TEMPERATURES, SEEDS, st.sampled_from([0.0, 1000.0, -1000.0]))
def probabilities_are_softened(student, size, temperature, seed, moved):
    """softmax(v / T), whatever number is added to all logits of a row."""
    v = logits_of(seed, *size)
    p = array_of(student, "softened", size, v + moved, temperature)
    close(p, probabilities(v, temperature), f"T = {temperature}, v = {v.tolist()} + {moved}", 1e-8)


@graded(points=1)
@given(SIZES, TEMPERATURES, SEEDS, st.integers(1, 3))
def teachers_say_their_mean(student, size, temperature, seed, count):
    """The mean of what each says, not what the mean of their logits would say."""
    v = logits_of(seed, count, *size)
    p = array_of(student, "softened", size, v, temperature)
    close(p, probabilities(v, temperature).mean(axis=0), f"T = {temperature}, {count} teachers")


@graded(points=2)
@given(SIZES, TEMPERATURES, SEEDS)
def the_loss_is_that_of_the_formula(student, size, temperature, seed):
    """T² times the divergence of the teacher from the student, the mean over examples."""
    z, p = logits_of(seed, *size), probabilities(logits_of(seed + 1, *size), temperature)
    found = expect.real(student.soft_loss(z, p, temperature), "soft_loss")
    assert not student.soft_loss.changed, "soft_loss writes into what it is given"
    close(found, divergence(z, p, temperature), f"T = {temperature}, z = {z.tolist()}, p = {p.tolist()}")


@graded(points=2)
@given(SIZES, TEMPERATURES, SEEDS)
def the_gradient_is_that_of_the_loss(student, size, temperature, seed):
    """By finite differences of the formula."""
    z, p = logits_of(seed, *size), probabilities(logits_of(seed + 1, *size), temperature)
    found = array_of(student, "soft_gradient", size, z, p, temperature)
    wanted = slope(lambda z: divergence(z, p, temperature), z)
    close(found, wanted, f"T = {temperature}, z = {z.tolist()}, p = {p.tolist()}", 1e-6)


@graded(points=2)
@given(SIZES, TEMPERATURES, SEEDS, st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 4))
def the_parts_are_mixed(student, size, temperature, seed, soft, unknown):
    """The gradient of soft · (soft loss) + (1 − soft) · cross-entropy; −1 is no label."""
    z, p = logits_of(seed, *size), probabilities(logits_of(seed + 1, *size), temperature)
    labels = np.random.default_rng(seed).integers(0, size[1], size[0])
    labels[:unknown] = -1
    found = array_of(student, "gradient", size, z, p, labels, temperature, soft)
    wanted = slope(lambda z: loss_of(z, p, labels, temperature, soft), z)
    close(found, wanted, f"T = {temperature}, soft = {soft}, labels {labels.tolist()}, z = {z.tolist()}",
          1e-6)


def lesson(seed, n, count=2):
    """A student, examples with labels, some of them −1, what the teachers say of them, and orders."""
    rng = np.random.default_rng(seed)
    student = {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    x, labels = rng.normal(size=(n, 3)), rng.integers(-1, 4, n)
    return student, x, labels, 2 * rng.normal(size=(count, n, 4)), [rng.permutation(n) for _ in range(2)]


def trained(start, x, labels, said, orders, size, temperature, soft, rate):
    """The student after the training, by the formulas."""
    w, b = start["w"], start["b"]
    p = probabilities(said, temperature).mean(axis=0)
    for rows in [rows for order in orders for rows in np.split(order, range(size, len(order), size))]:
        z, y = x[rows] @ w + b, labels[rows]
        by_teachers = temperature * (probabilities(z, temperature) - p[rows]) / len(rows)
        known = (y >= 0)[:, None]
        by_labels = known * (probabilities(z, 1.0) - (y[:, None] == np.arange(4))) / max(known.sum(), 1)
        g = soft * by_teachers + (1 - soft) * by_labels
        w, b = w - rate * (x[rows].T @ g), b - rate * g.sum(axis=0)
    return {"b": b, "w": w}


@graded(points=3)
@given(SEEDS, st.integers(1, 7), st.integers(1, 4), TEMPERATURES, st.sampled_from([0.0, 0.5, 1.0]))
def training_follows_the_orders(student, seed, n, size, temperature, soft):
    """Batch by batch, each with what the teachers say of its own rows; both w and b move at once."""
    start, x, labels, said, orders = lesson(seed, n)
    settings = (size, temperature, soft, 0.5)
    found = student.train(start, x, labels, said, orders, *settings)
    assert not student.train.changed, "train writes into what it is given"
    assert isinstance(found, dict), f"train: wanted a dict, got {found!r}"
    assert set(found) == {"w", "b"}, f"train: wanted w and b, got {sorted(found)}"
    wanted = trained(start, x, labels, said, orders, *settings)
    for name, value in wanted.items():
        mine = expect.array(found[name], f"{name} after the training", dtype=np.float64, shape=value.shape)
        close(mine, value, f"{name}: {n} rows in batches of {size}, T = {temperature}, soft = {soft}")


### BEGIN HIDDEN TESTS
@graded(points=1)
@given(SIZES, SEEDS)
def extreme_logits_stay_finite(student, size, seed):
    """Logits far apart, and probabilities of exactly 0: no infinity, no NaN."""
    z = 1000 * np.sign(logits_of(seed, *size)) * np.arange(1, size[1] + 1)
    p = np.eye(size[1])[np.random.default_rng(seed).integers(0, size[1], size[0])]
    found = expect.real(student.soft_loss(z, p, 1.0), "soft_loss")
    shifted = z - z.max(axis=1, keepdims=True)
    log_q = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    close(found, -(p * log_q).sum() / size[0], f"z = {z.tolist()}, p = {p.tolist()}")
    close(array_of(student, "soft_gradient", size, z, p, 1.0), (probabilities(z, 1.0) - p) / size[0],
          f"the gradient at z = {z.tolist()}")


@graded(points=1)
@given(SIZES, SEEDS)
def hot_gradients_are_differences(student, size, seed):
    """(z − v)/(N·C) as T grows, for logits of mean 0: T² is there once, and once only."""
    z, v = (logits - logits.mean(axis=1, keepdims=True)
            for logits in (logits_of(seed, *size), logits_of(seed + 1, *size)))
    t = 1e4 * max(np.abs(z).max(), np.abs(v).max())
    p = array_of(student, "softened", size, v, t)
    found = array_of(student, "soft_gradient", size, z, p, t)
    close(found, (z - v) / z.size, f"T = {t:.3g}, z = {z.tolist()}, v = {v.tolist()}", 1e-3)


@graded(points=2)
@given(st.integers(1, 40), SEEDS)
def the_smallest_is_found_with_few_trials(student, n, seed):
    """The first width that is enough, or None; at most 1 + ⌈log₂ n⌉ are tried, none twice, the last first."""
    rng = np.random.default_rng(seed)
    widths = np.cumsum(rng.integers(1, 9, n)).tolist()
    rising = (np.sort(rng.integers(0, 9, n)) / 8).tolist()
    wanted, tried = float(rng.integers(0, 9) / 8), []

    def accuracy(width):
        assert width in widths, f"tries the width {width!r}, which is none of {widths}"
        tried.append(width)
        return rising[widths.index(width)]

    found = student.smallest(accuracy, widths, wanted)
    found = found if found is None else expect.whole(found, "smallest")
    enough = [width for width, value in zip(widths, rising, strict=True) if value >= wanted]
    answer = enough[0] if enough else None
    said = f"widths {widths}, accuracies {rising}, wanted {wanted}"
    assert found == answer, f"{said}: the answer is {answer}, got {found!r}"
    assert len(set(tried)) == len(tried), f"{said}: a width is tried twice: {tried}"
    assert tried[:1] == widths[-1:], f"{said}: the widest is not tried first: {tried}"
    assert len(tried) <= 1 + np.ceil(np.log2(n)), f"{said}: {len(tried)} are tried"


@graded(points=1)
@given(SEEDS)
def a_student_learns_to_say_it_too(student, seed):
    """Without labels, from a linear teacher: after enough steps its probabilities are the teacher's."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(12, 2)), rng.normal(size=(2, 3))
    said = (x @ w)[None]
    start = {"w": np.zeros((2, 3)), "b": np.zeros(3)}
    after = student.train(start, x, np.full(12, -1), said, [np.arange(12)] * 300, 6, 2.0, 1.0, 0.3)
    assert isinstance(after, dict), f"train: wanted a dict, got {after!r}"
    w = expect.array(after.get("w"), "w after the training", dtype=np.float64, shape=(2, 3))
    b = expect.array(after.get("b"), "b after the training", dtype=np.float64, shape=(3,))
    close(probabilities(x @ w + b, 1.0), probabilities(said[0], 1.0), "what the student says", 0.02)


### END HIDDEN TESTS


if __name__ == "__main__":
    main(__file__)
