"""Assignment 1: automatic differentiation.

`notebooks/03_autodiff.py` prepares you for it. You write 8 derivatives and the walk that joins them, about 60
lines, then run this file: `python autograd.py` says what does not hold yet, and how many points you have.

1. The vjp. Let y = f(a, b) be one operation inside a long computation that ends in a number L. Backward
arrives at y with g = ∂L/∂y, an array of y's shape, and has to leave with ∂L/∂a and ∂L/∂b. By the chain rule

    ∂L/∂aᵢ = Σⱼ gⱼ · ∂yⱼ/∂aᵢ,    in short ∂L/∂a = gᵀJ with the Jacobian Jⱼᵢ = ∂yⱼ/∂aᵢ,

a vector–Jacobian product. J is never built: for y = tanh(a) it is diagonal, and gᵀJ is g·(1 − y²), entry by
entry. Derive the others like this, by indices, before you code. Where a result depends on a sum of entries
(softmax: yⱼ = exp aⱼ / Σₖ exp aₖ), an entry of a moves all entries of y of its row.

2. Broadcasting. In y = a + b with a of shape (2, 3) and b of shape (3,), NumPy uses each entry of b twice.
Used twice, it gets two gradients, and they add up: ∂L/∂b is the sum of g over the axis that b was repeated
along. `unbroadcast` does this for every operation.

3. The graph. Operations form a directed graph without cycles: node i was computed from the nodes parents[i],
and a leaf, an input, from none. A node that is used several times gets a gradient from each use, and only
their sum is its gradient. So a node's turn comes when ALL nodes that use it have had theirs: in topological
order, from the output to the leaves (Kahn 1962; Linnainmaa 1976). To follow every path instead takes 2ⁿ steps
where each of n nodes uses the one before twice; a function that calls itself fails after about 1000 nodes.

4. Memory. What an operation keeps for its vjp is the memory that training needs. Once its vjp has been called
nobody asks for it again: say free(i) at once, not when all is over, and drop its gradient, too.
"""

from itertools import pairwise, zip_longest

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

import nn
from compress.classroom import expect, graded, main
from nn.rules import Rule

# ---- What you write. g is an array of float64 of the shape of y. A vjp returns a tuple: a gradient for each
# ---- operand that is an array of floats, of its shape. It writes into nothing that it was given. ----


def unbroadcast(g, shape):
    """The gradient of an operand of this shape, which NumPy has broadcast to the shape of g."""
    ### BEGIN SOLUTION
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return g.sum(axis=stretched, keepdims=True)
    ### END SOLUTION


def add_vjp(g, a, b):
    """y = a + b, broadcast. Returns (∂L/∂a, ∂L/∂b)."""
    ### BEGIN SOLUTION
    return unbroadcast(g, a.shape), unbroadcast(g, b.shape)
    ### END SOLUTION


def multiply_vjp(g, a, b):
    """y = a · b, entry by entry, broadcast. Returns (∂L/∂a, ∂L/∂b)."""
    ### BEGIN SOLUTION
    return unbroadcast(g * b, a.shape), unbroadcast(g * a, b.shape)
    ### END SOLUTION


def divide_vjp(g, a, b):
    """y = a / b, entry by entry, broadcast. Returns (∂L/∂a, ∂L/∂b)."""
    ### BEGIN SOLUTION
    return unbroadcast(g / b, a.shape), unbroadcast(-g * a / b**2, b.shape)
    ### END SOLUTION


def matmul_vjp(g, a, b):
    """y = a @ b for a (M, K) and b (K, N). Returns (∂L/∂a, ∂L/∂b)."""
    ### BEGIN SOLUTION
    return g @ b.T, a.T @ g
    ### END SOLUTION


def tanh_vjp(g, y):
    """y = tanh(a), of which only y was kept. Returns (∂L/∂a,)."""
    ### BEGIN SOLUTION
    return (g * (1 - y * y),)
    ### END SOLUTION


def sum_vjp(g, a, axis):
    """y = a.sum(axis): axis is a number from 0 on, or None for all axes. Returns (∂L/∂a,)."""
    ### BEGIN SOLUTION
    if axis is not None:
        g = np.expand_dims(g, axis)
    return (np.broadcast_to(g, a.shape).copy(),)
    ### END SOLUTION


def softmax_vjp(g, y):
    """y = softmax(a) along the last axis, of which only y was kept. Returns (∂L/∂a,)."""
    ### BEGIN SOLUTION
    return (y * (g - (g * y).sum(axis=-1, keepdims=True)),)
    ### END SOLUTION


def take_vjp(g, a, rows):
    """y = a[rows] for an array of row numbers from 0 on, which may repeat. Returns (∂L/∂a,)."""
    ### BEGIN SOLUTION
    da = np.zeros_like(a)
    np.add.at(da, rows, g)
    return (da,)
    ### END SOLUTION


def backward(parents, output, g, vjp, free):
    """The gradients of the leaves that `output` was computed from.

    parents: for each node the list of those that it was computed from, [] for a leaf; one may be there twice,
        as in x·x. The numbers of the nodes say nothing about their order.
    output: the node at which backward begins; g: its gradient, ∂L/∂output.
    vjp(i, g): given the gradient of node i, which is no leaf, one for each of parents[i]. What it gives may
        be g itself, or one array twice.
    free(i): says that what node i kept for its vjp is not needed any more.
    Returns a list: for each leaf that output depends on its gradient, and None for every other node."""
    ### BEGIN SOLUTION
    uses = [0] * len(parents)  # of each node, by nodes that have not sent it their gradient yet
    met, todo = {output}, [output]
    while todo:
        for parent in parents[todo.pop()]:
            uses[parent] += 1
            if parent not in met:
                met.add(parent)
                todo.append(parent)
    grads = [None] * len(parents)
    grads[output], ready = g, [output]
    while ready:
        node = ready.pop()
        if not parents[node]:
            continue
        sent = vjp(node, grads[node])
        free(node)
        grads[node] = None
        for parent, more in zip(parents[node], sent, strict=True):
            grads[parent] = more if grads[parent] is None else grads[parent] + more
            uses[parent] -= 1
            if not uses[parent]:
                ready.append(parent)
    return grads
    ### END SOLUTION


# ---- Given: programs, lists of (operation or None for a leaf, operands, what else), by your functions ----


def softmax(a):
    """exp(a) over its sum along the last axis."""
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


FORWARD = {"add": np.add, "multiply": np.multiply, "divide": np.divide, "matmul": np.matmul, "tanh": np.tanh,
           "sum": np.sum, "softmax": softmax, "take": lambda a, rows: a[rows]}
KEEP_OUTPUT = ("tanh", "softmax")


def compute(program, leaves, forward=FORWARD):
    """The value of each node."""
    values, leaves = [], iter(leaves)
    for name, operands, more in program:
        values.append(forward[name](*(values[i] for i in operands), *more) if name else next(leaves))
    return values


def doubled(n, g):
    """x + x, n times over: your gradient of x by vjps that halve g, and how many were called."""
    number, calls = np.random.default_rng(1).permutation(n + 1).tolist(), []
    before = {i: [one, one] for one, i in pairwise(number)}
    parents = [before.get(i, []) for i in range(n + 1)]

    def vjp(i, g):
        calls.append(i)
        if len(calls) > n:
            raise RuntimeError(f"vjp was called more than {n} times for {n} operations")
        return [g / 2, g / 2]

    return backward(parents, number[-1], g, vjp, lambda i: None)[number[0]], len(calls)


def run(program, leaves, g):
    """The gradients of all nodes, by your functions."""
    values = compute(program, leaves)

    def vjp(i, g):
        name, operands, more = program[i]
        kept = [values[j] for j in ([i] if name in KEEP_OUTPUT else operands)]
        return globals()[name + "_vjp"](g, *kept, *more)

    return backward([list(some) for _, some, _ in program], len(program) - 1, g, vjp, lambda i: None)


# ---- What is graded ----

SHAPES = st.sampled_from([((2,), (2,)), ((2, 3), (3,)), ((2, 1), (2, 3)), ((3,), (2, 1)), ((2, 3), ()),
                          ((), (3,)), ((1, 1), (2, 2)), ((2, 1, 3), (2, 1)), ((1,), (1, 1))])
SEEDS, SIZES = st.integers(0, 999), st.integers(1, 4)


def gradient(made, shape, what):
    """A gradient that a hand-in made, checked; a number will do for an array without axes."""
    made = np.asarray(made) if isinstance(made, np.floating | float) else made
    return expect.array(made, what, dtype=np.float64, shape=shape)


def agrees_with_differences(student, name, *operands, more=()):
    """The vjp of an operation against differences of its forward, for a random g."""
    def forward(a, b=None):
        arrays = (a,) if b is None else (a, b)
        y = np.asarray(FORWARD[name](*arrays, *more))
        return y, (*((y,) if name in KEEP_OUTPUT else arrays), *more)

    def vjp(g, kept, needs):
        function = getattr(student, f"{name}_vjp")
        made = expect.items(function(g, *kept), f"{name}_vjp, which returns a tuple", len(operands))
        assert not function.changed, f"{name}_vjp has written into an array that it was given"
        return tuple(gradient(d, x.shape, f"the gradient of {which} that {name}_vjp returns")
                     for which, d, x in zip("ab", made, operands, strict=False))

    nn.gradcheck(Rule(f"{name}_vjp", "", forward, vjp), *operands)


@graded(points=2)
@given(shapes=SHAPES, seed=SEEDS)
def broadcasting_is_undone(student, shapes, seed):
    """An entry that was used many times gets the sum of what its uses get."""
    g = np.random.default_rng(seed).integers(-9, 10, np.broadcast_shapes(*shapes)).astype(np.float64)
    for shape in shapes:
        made = gradient(student.unbroadcast(g, shape), shape, f"unbroadcast(g of {g.shape}, {shape})")
        entries = np.arange(max(1, np.prod(shape, dtype=int))).reshape(shape)
        want = np.bincount(np.broadcast_to(entries, g.shape).ravel(), g.ravel()).reshape(shape)
        assert np.array_equal(made, want), (f"unbroadcast(g, {shape}) is {made.tolist()}, wanted "
                                            f"{want.tolist()}, sums of g = {g.tolist()}")


@graded(points=2)
@given(shapes=SHAPES, seed=SEEDS)
def arithmetic_agrees_with_differences(student, shapes, seed):
    """add, multiply and divide, also where one operand is broadcast."""
    rng = np.random.default_rng(seed)
    a, b = (np.asarray(rng.uniform(1, 2, shape)) for shape in shapes)
    for name in "add", "multiply", "divide":
        agrees_with_differences(student, name, a, b)


@graded(points=2)
@given(m=SIZES, n=SIZES, seed=SEEDS)
def tanh_and_softmax_agree_with_differences(student, m, n, seed):
    """The two that are computed from their results."""
    a = np.random.default_rng(seed).normal(size=(m, n))
    agrees_with_differences(student, "tanh", a)
    agrees_with_differences(student, "softmax", a)


@graded(points=2)
@given(m=SIZES, k=SIZES, n=SIZES, axis=st.sampled_from([None, 0, 1]), seed=SEEDS)
def matmul_and_sum_agree_with_differences(student, m, k, n, axis, seed):
    """Both operands of a product of matrices, square or not; sums along each axis and along all."""
    a, b = (np.random.default_rng(seed).normal(size=size) for size in ((m, k), (k, n)))
    agrees_with_differences(student, "matmul", a, b)
    agrees_with_differences(student, "sum", a, more=(axis,))


@graded(points=1)
@given(rows=st.lists(st.integers(0, 2), min_size=1, max_size=5), seed=SEEDS)
def rows_taken_twice_get_both_gradients(student, rows, seed):
    """take: a row that is read several times gets the sum, one that is not read gets 0."""
    agrees_with_differences(student, "take", np.random.default_rng(seed).normal(size=(3, 2)),
                            more=(np.array(rows),))


class Graph:
    """Two leaves, then nodes with parents so many places before; `seed` exchanges their numbers."""

    def __init__(self, links, seed):
        rng, count = np.random.default_rng(seed), len(links) + 2
        number = (rng.permutation(count) if seed else np.arange(count)).tolist()
        self.parents, self.output, self.factors = [[] for _ in number], number[-1], {}
        self.calls, self.turns, self.given, self.wanted = [], [], {}, {number[-1]: np.array([1.0, -2.0])}
        for k, some in reversed(list(enumerate([[], [], *links]))):
            i = number[k]
            self.parents[i] = [number[k - 1 - back % k] for back in some]
            self.factors[i] = rng.integers(1, 4, len(some)).tolist()
            for parent, factor in zip(self.parents[i], self.factors[i], strict=True):
                if i in self.wanted:
                    self.wanted[parent] = self.wanted.get(parent, 0) + factor * self.wanted[i]

    def __repr__(self):
        return f"(parents {self.parents}, output {self.output}, g [1, -2], vjps give g times {self.factors})"

    def vjp(self, i, g):
        assert i in self.factors, f"vjp was called for {i!r}, which is no node"
        assert self.parents[i], f"vjp was called for node {i}, which is a leaf and has none"
        assert len(self.calls) <= 9 * len(self.parents), f"vjp is called again and again: {self.calls[:9]}, …"
        self.calls.append(("vjp", i))
        self.turns.append(i)
        self.given[i] = gradient(g, (2,), f"after vjp was called for {self.turns}: the g of the last")
        return [factor * g for factor in self.factors[i]]

    def backward(self, student):
        made = student.backward(self.parents, self.output, self.wanted[self.output], self.vjp,
                                lambda i: self.calls.append(("free", i)))
        assert not student.backward.changed, "backward has written into what it was given"
        return expect.items(made, "backward, a list with an entry for each node", len(self.parents))


LINKS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=7)
GRAPHS = st.builds(Graph, LINKS, st.integers(0, 99))


@graded(points=2, examples=100)
@given(graph=GRAPHS)
def gradients_of_several_uses_add_up(student, graph):
    """A leaf gets the sum of what comes along all paths, other nodes None."""
    for i, made in enumerate(graph.backward(student)):
        if graph.parents[i] or i not in graph.wanted:
            which = "was computed from others" if graph.parents[i] else "is a leaf that output does not use"
            assert made is None, f"node {i} {which}: its entry is to be None, it is {made!r:.60}"
        else:
            made, want = gradient(made, (2,), f"the gradient of leaf {i}").tolist(), graph.wanted[i].tolist()
            assert made == want, f"the gradient of leaf {i} is {made}; the sum over all paths to it is {want}"


@graded(points=2, examples=100)
@given(graph=GRAPHS)
def each_node_has_one_turn(student, graph):
    """vjp is called once for each node that output depends on, when its gradient is complete."""
    graph.backward(student)
    nodes = sorted(i for i in graph.wanted if graph.parents[i])
    assert sorted(graph.turns) == nodes, f"vjp was called for {graph.turns}; wanted for each of {nodes} once"
    for i, g in graph.given.items():
        got, want = g.tolist(), graph.wanted[i].tolist()
        assert got == want, (f"vjp was called for node {i} with {got}, but its users send it {want} in all; "
                             f"the turns were {graph.turns}")


### BEGIN HIDDEN TESTS
@graded(points=2, examples=100)
@given(graph=GRAPHS)
def buffers_are_freed_at_once(student, graph):
    """What a node kept is freed after its own vjp and before the next."""
    graph.backward(student)
    wanted = [call for i in graph.turns for call in (("vjp", i), ("free", i))]
    assert wanted, "no vjp was called"
    for k, (call, want) in enumerate(zip_longest(graph.calls, wanted)):
        assert call == want, (f"after the calls {graph.calls[:k]} comes {call or 'nothing'}, wanted {want}: "
                              "a node is freed once, as soon as its vjp has been called")


@graded(points=3)
def ten_thousand_operations(student):
    """y = x + x, 10,000 times over: 10,000 calls of vjp, not 2¹⁰⁰⁰⁰, and no function that calls itself."""
    made, calls = expect.items(student.doubled(10_000, np.array([1.0, -2.0])), "doubled", 2)
    made = gradient(made, (2,), "the gradient of x").tolist()
    assert made == [1, -2], f"the gradient of x is {made}, wanted [1.0, -2.0]"
    assert calls == 10_000, f"vjp was called {calls} times, wanted 10,000"


def a_program(drawn):
    """Operations on b (2,), x (2, 2) and their results, as far as they fit; what divides is a leaf."""
    program = [(None, (), ()), (None, (), ())]
    for name, i, j in drawn:
        n, more = len(program), (np.array([1, 1]),) if name == "take" else ()
        operands = n - 1 - i % (n - 1), {"matmul": 1 + j % (n - 1), "divide": j % 2}.get(name, j % n)
        program.append((name, operands[:1] if name in ("tanh", "softmax", "take") else operands, more))
    return program


PROGRAMS = st.lists(st.tuples(st.sampled_from([name for name in FORWARD if name != "sum"]),
                              *[st.integers(0, 9)] * 2), min_size=1, max_size=5).map(a_program)


@graded(points=2, examples=60)
@given(program=PROGRAMS, seed=SEEDS)
@example(program=a_program([("tanh", 0, 0), ("add", 0, 1), ("add", 0, 2)]), seed=0)
def programs_have_right_gradients(student, program, seed):
    """All together, against this library: n0 is b, n1 is x."""
    text = ", ".join(f"n{k} = {name}{some}" for k, (name, some, _) in enumerate(program) if name)
    rng = np.random.default_rng(seed)
    leaves, g = [rng.uniform(1, 2, shape) for shape in ((2,), (2, 2))], rng.normal(size=(2, 2))
    made = expect.items(student.run(program, leaves, g), "run", len(program))
    tensors = [nn.Tensor(leaf, requires_grad=True) for leaf in leaves]
    theirs = {**FORWARD, "tanh": nn.Tensor.tanh, "softmax": lambda a: a.softmax(-1)}
    compute(program, tensors, theirs)[-1].backward(g)
    for i, want in ((i, tensor.grad) for i, tensor in enumerate(tensors) if tensor.grad is not None):
        got = gradient(made[i], want.shape, f"{text}: the gradient of n{i}")
        assert np.allclose(got, want, 1e-9, 1e-9), (
            f"{text}: the gradient of n{i} is {got.tolist()}, wanted {want.tolist()}")
### END HIDDEN TESTS


if __name__ == "__main__":
    main(__file__)
