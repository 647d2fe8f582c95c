"""Mistakes that students make in automatic differentiation."""

from compress.classroom.mutation import Bug

ARITHMETIC, PRODUCTS = "arithmetic_agrees_with_differences", "matmul_and_sum_agree_with_differences"
FROM_OUTPUT, ROWS = "tanh_and_softmax_agree_with_differences", "rows_taken_twice_get_both_gradients"
UNDONE, SUMS, TURN = "broadcasting_is_undone", "gradients_of_several_uses_add_up", "each_node_has_one_turn"
FREED, LONG, ALL = "buffers_are_freed_at_once", "ten_thousand_operations", "programs_have_right_gradients"

WALK = """\
    while ready:
        node = ready.pop()
"""
FIND = """\
    while todo:
        for parent in parents[todo.pop()]:
            uses[parent] += 1
            if parent not in met:
                met.add(parent)
                todo.append(parent)
"""
COUNT = """\
            uses[parent] -= 1
            if not uses[parent]:
                ready.append(parent)
"""

BUGS = [
    Bug("axes that NumPy added in front are not summed",
        "g = g.sum(axis=tuple(range(g.ndim - len(shape))))", "pass", (UNDONE, ARITHMETIC)),
    Bug("axes of length 1 are not summed", "return g.sum(axis=stretched, keepdims=True)", "return g",
        (UNDONE, ARITHMETIC)),
    Bug("axes of length 1 are summed away", "axis=stretched, keepdims=True", "axis=stretched", (UNDONE,)),
    Bug("the mean instead of the sum", "return g.sum(axis=stretched, keepdims=True)",
        "return g.mean(axis=stretched, keepdims=True)", (UNDONE, ARITHMETIC)),
    Bug("broadcasting is forgotten in add", "return unbroadcast(g, a.shape), unbroadcast(g, b.shape)",
        "return g, g", (ARITHMETIC, ALL)),
    Bug("each operand gets itself, not the other", "unbroadcast(g * b, a.shape), unbroadcast(g * a, b.shape)",
        "unbroadcast(g * a, a.shape), unbroadcast(g * b, b.shape)", (ARITHMETIC, ALL)),
    Bug("the quotient rule without its minus", "unbroadcast(-g * a / b**2, b.shape)",
        "unbroadcast(g * a / b**2, b.shape)", (ARITHMETIC, ALL)),
    Bug("the product of matrices without transposes", "return g @ b.T, a.T @ g", "return g @ b, a @ g",
        (PRODUCTS, ALL)),
    Bug("the factors of a product of matrices exchanged", "return g @ b.T, a.T @ g",
        "return b.T @ g, g @ a.T", (PRODUCTS,)),
    Bug("tanh: 1 − y instead of 1 − y²", "(g * (1 - y * y),)", "(g * (1 - y),)", (FROM_OUTPUT, ALL)),
    Bug("tanh: y is taken for a", "(g * (1 - y * y),)", "(g * (1 - np.tanh(y)**2),)", (FROM_OUTPUT, ALL)),
    Bug("tanh: works in place", "return (g * (1 - y * y),)", "y *= -y\n    y += 1\n    return (g * y,)",
        (FROM_OUTPUT,)),
    Bug("sum: g broadcasts by luck, along the last axis only",
        "        g = np.expand_dims(g, axis)", "        pass", (PRODUCTS,)),
    Bug("sum: one number, not one for each entry",
        "return (np.broadcast_to(g, a.shape).copy(),)", "return (g,)", (PRODUCTS,)),
    Bug("softmax: only the diagonal of the Jacobian", "y * (g - (g * y).sum(axis=-1, keepdims=True))",
        "g * y * (1 - y)", (FROM_OUTPUT, ALL)),
    Bug("softmax: the sum over the whole batch", "(g * y).sum(axis=-1, keepdims=True)", "(g * y).sum()",
        (FROM_OUTPUT, ALL)),
    Bug("take: a row that is read twice keeps the last gradient", "np.add.at(da, rows, g)", "da[rows] = g",
        (ROWS, ALL)),
    Bug("take: += adds once for each row, however often it is read",
        "np.add.at(da, rows, g)", "da[rows] += g", (ROWS, ALL)),
    Bug("a second gradient replaces the first",
        "more if grads[parent] is None else grads[parent] + more", "more", (SUMS, TURN, LONG, ALL)),
    Bug("sums are made in place, in arrays that others hold",
        "            grads[parent] = more if grads[parent] is None else grads[parent] + more\n",
        "            if grads[parent] is None:\n                grads[parent] = more\n            else:\n"
        "                grads[parent] += more\n", (ALL,)),
    Bug("begins with ones instead of g", "grads[output], ready = g, [output]",
        "grads[output], ready = np.ones_like(g), [output]", (SUMS, TURN, LONG, ALL)),
    Bug("every path is followed", COUNT, "            ready.append(parent)\n", (SUMS, TURN, LONG)),
    Bug("a node's turn comes when it is met first", COUNT, """\
            if uses[parent] > 0:
                uses[parent] = 0
                ready.append(parent)
""", (TURN, SUMS, ALL)),
    Bug("takes the numbers of the nodes for their order", WALK, """\
    for node in range(output, -1, -1):
        if grads[node] is None:
            continue
""", (SUMS, TURN, LONG)),
    Bug("a parent that is there twice is counted once",
        "in parents[todo.pop()]:", "in set(parents[todo.pop()]):", (TURN, SUMS)),
    Bug("uses by nodes that output does not depend on are waited for", FIND, """\
    for some in parents:
        for parent in some:
            uses[parent] += 1
""", (TURN, SUMS)),
    Bug("calls itself for each parent", FIND, """\
    def count(node):
        for parent in parents[node]:
            uses[parent] += 1
            if parent not in met:
                met.add(parent)
                count(parent)

    count(output)
""", (LONG,)),
    Bug("asks leaves for their vjp", """\
        if not parents[node]:
            continue
""", "", (TURN, SUMS)),
    Bug("nothing is freed", "        free(node)\n", "", (FREED,)),
    Bug("everything is freed when all is over", """\
        free(node)
        grads[node] = None
""", """\
        grads[node] = None
        todo.append(node)
        if len(todo) == sum(bool(parents[i]) for i in met):
            for node in todo:
                free(node)
""", (FREED,)),
    Bug("freed before it is used", "        sent = vjp(node, grads[node])\n        free(node)\n",
        "        free(node)\n        sent = vjp(node, grads[node])\n", (FREED,)),
    Bug("gradients of nodes that are no leaves are kept", "        grads[node] = None\n", "", (SUMS,)),
]
