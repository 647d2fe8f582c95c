"""Mistakes that students make with tensor trains and Winograd, each of which must lose points."""

from compress.classroom.mutation import Bug

IMAGE = """    height, width = x.shape[0] - 2, x.shape[1] - 2
    padded = np.pad(x, ((0, height % 2), (0, width % 2)))
    y = np.zeros((height + height % 2, width + width % 2))
    for i in range(0, height, 2):
        for j in range(0, width, 2):
            y[i:i + 2, j:j + 2] = winograd_2d(padded[i:i + 4, j:j + 4], g, multiply)
    return y[:height, :width]
"""

BUGS = [
    Bug("all of eps is spent on every cut",
        "eps / max(d - 1, 1) ** 0.5", "eps", ("error_is_within_eps", "cuts_cost_what_is_said")),
    Bug("eps is shared out as if errors added up in line",
        "eps / max(d - 1, 1) ** 0.5", "eps / max(d - 1, 1)", ("ranks_are_no_larger_than_needed",)),
    Bug("eps is not relative",
        "1e-12) * np.linalg.norm(a)", "1e-12)", ("error_is_within_eps", "ranks_are_no_larger_than_needed")),
    Bug("a vector divides by zero",
        "max(d - 1, 1) ** 0.5", "(d - 1) ** 0.5", ("error_is_within_eps",)),
    Bug("each singular value below delta is cut off, though there are many",
        "np.sum(tails > delta)", "np.sum(s > delta)", ("error_is_within_eps", "cuts_cost_what_is_said")),
    Bug("singular values are added without squares",
        "np.sqrt(np.cumsum(s[::-1] ** 2))[::-1]", "np.cumsum(s[::-1])[::-1]",
        ("ranks_are_no_larger_than_needed",)),
    Bug("nothing is cut off",
        "keep = max(int(np.sum(tails > delta)), 1)", "keep = len(s)",
        ("small_ranks_are_found", "ranks_are_no_larger_than_needed")),
    Bug("one more than needed is kept",
        "keep = max(int(np.sum(tails > delta)), 1)", "keep = min(int(np.sum(tails > delta)) + 1, len(s))",
        ("small_ranks_are_found", "ranks_are_no_larger_than_needed")),
    Bug("one less than needed is kept",
        "keep = max(int(np.sum(tails > delta)), 1)", "keep = max(int(np.sum(tails > delta)) - 1, 1)",
        ("error_is_within_eps", "small_ranks_are_found")),
    Bug("what rounding leaves counts as rank",
        "max(eps / max(d - 1, 1) ** 0.5, 1e-12)", "eps / max(d - 1, 1) ** 0.5", ("small_ranks_are_found",)),
    Bug("a zero tensor has rank 0",
        "max(int(np.sum(tails > delta)), 1)", "int(np.sum(tails > delta))",
        ("ranks_are_no_larger_than_needed",)),
    Bug("the singular values go into the core",
        "cores.append(u[:, :keep].reshape(rank, n, keep))",
        "cores.append((u[:, :keep] * s[:keep]).reshape(rank, n, keep))", ("error_is_within_eps",)),
    Bug("the singular values go left, what is left has none",
        "        cores.append(u[:, :keep].reshape(rank, n, keep))\n"
        "        cut += float(np.sum(s[keep:] ** 2))\n"
        "        rest, rank = s[:keep, None] * vt[:keep], keep\n",
        "        cores.append((u[:, :keep] * s[:keep]).reshape(rank, n, keep))\n"
        "        cut += float(np.sum(s[keep:] ** 2))\n"
        "        rest, rank = vt[:keep], keep\n", ("ranks_are_no_larger_than_needed",)),
    Bug("V in place of its transpose",
        "u, s, vt = np.linalg.svd(rest.reshape(rank * n, -1), full_matrices=False)",
        "u, s, vt = np.linalg.svd(rest.reshape(rank * n, -1), full_matrices=False)\n        vt = vt[:, ::-1]",
        ("error_is_within_eps", "small_ranks_are_found")),
    Bug("reshaped in the order of columns",
        "cores.append(u[:, :keep].reshape(rank, n, keep))",
        "cores.append(u[:, :keep].reshape(rank, n, keep, order='F'))", ("error_is_within_eps",)),
    Bug("the rows leave out the rank",
        "cores, cut, rank, rest = [], 0.0, 1, a\n    for n in shape[:-1]:\n        u, s, vt = np.linalg.svd("
        "rest.reshape(rank * n, -1)",
        "cores, cut, rank, rest = [], 0.0, 1, a\n    for n in shape[:-1]:\n        u, s, vt = np.linalg.svd("
        "rest.reshape(n, -1)", ("error_is_within_eps",)),
    Bug("the last core has no third dimension",
        "cores.append(rest.reshape(rank, shape[-1], 1))", "cores.append(rest.reshape(rank, shape[-1]))",
        ("error_is_within_eps", "small_ranks_are_found")),
    Bug("the error is the sum of squares, without the root",
        "return cores, cut**0.5", "return cores, cut", ("cuts_cost_what_is_said",)),
    Bug("the error of the last cut only",
        "cut += float(np.sum(s[keep:] ** 2))", "cut = float(np.sum(s[keep:] ** 2))",
        ("cuts_cost_what_is_said",)),
    Bug("the error is said to be eps times the norm, and not found out",
        "return cores, cut**0.5", "return cores, eps * (d - 1)", ("cuts_cost_what_is_said",)),
    Bug("a tensor of ones squeezes away",
        "return product.reshape([core.shape[1] for core in cores])",
        "return np.squeeze(product.reshape([core.shape[1] for core in cores]))",
        ("tensor_is_the_product_of_cores",)),
    Bug("the product runs over the wrong pair of ranks",
        "product = product @ core.reshape(len(core), -1)",
        "product = product @ core.reshape(-1, len(core)).T",
        ("tensor_is_the_product_of_cores",)),
    Bug("the filter is turned around, as mathematicians convolve",
        "[[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]",
        "[[0, 0, 1], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [1, 0, 0]]",
        ("matrices_are_those_of_a_filter", "four_multiplications_are_enough")),
    Bug("a sign in the last row of Bᵀ",
        "[0, 1, 0, -1]])\n    g", "[0, -1, 0, 1]])\n    g",
        ("matrices_are_those_of_a_filter", "four_multiplications_are_enough")),
    Bug("the halves are forgotten",
        "[0.5, 0.5, 0.5], [0.5, -0.5, 0.5]", "[1, 1, 1], [1, -1, 1]",
        ("matrices_are_those_of_a_filter", "sixteen_multiplications_are_enough")),
    Bug("G holds whole numbers: ½ becomes 0",
        "[0.5, -0.5, 0.5], [0, 0, 1]])", "[0.5, -0.5, 0.5], [0, 0, 1]]).astype(int)",
        ("matrices_are_those_of_a_filter",)),
    Bug("Aᵀ is A",
        "return bt, g, at", "return bt, g, at.T", ("matrices_are_those_of_a_filter",)),
    Bug("six products, as ever",
        "    return at @ multiply(transform @ g, bt @ d)",
        "    return multiply(np.array([d[:3], d[1:]]), np.array([g, g])).sum(axis=1)",
        ("four_multiplications_are_enough",)),
    Bug("products go around multiply",
        "    return at @ multiply(transform @ g, bt @ d)", "    return at @ ((transform @ g) * (bt @ d))",
        ("four_multiplications_are_enough",)),
    Bug("products of one's own, times what multiply makes of ones",
        "    return at @ multiply(transform @ g, bt @ d)",
        "    return at @ ((transform @ g) * (bt @ d)) * multiply(np.ones(4), np.ones(4))[0]",
        ("four_multiplications_are_enough",)),
    Bug("products of one's own, multiply's not used",
        "    return at @ multiply(transform @ g @ transform.T, bt @ d @ bt.T) @ at.T",
        "    multiply(d, d)\n    return at @ ((transform @ g @ transform.T) * (bt @ d @ bt.T)) @ at.T",
        ("sixteen_multiplications_are_enough", "images_of_any_size_are_exact")),
    Bug("36 products, as ever",
        "    return at @ multiply(transform @ g @ transform.T, bt @ d @ bt.T) @ at.T",
        "    return np.array([[multiply(d[i:i + 3, j:j + 3], g).sum() for j in range(2)] for i in range(2)])",
        ("sixteen_multiplications_are_enough", "images_take_16_multiplications_a_tile")),
    Bug("the filter is transformed from one side only",
        "transform @ g @ transform.T", "transform @ g @ np.eye(4)[:3]",
        ("sixteen_multiplications_are_enough", "images_of_any_size_are_exact")),
    Bug("transposed on the wrong side",
        "bt @ d @ bt.T", "bt.T @ d @ bt",
        ("sixteen_multiplications_are_enough", "images_of_any_size_are_exact")),
    Bug("rows and columns of the outputs are swapped",
        "    return at @ multiply(transform @ g @ transform.T, bt @ d @ bt.T) @ at.T",
        "    return (at @ multiply(transform @ g @ transform.T, bt @ d @ bt.T) @ at.T).T",
        ("sixteen_multiplications_are_enough",)),
    Bug("an odd last row and column are left out",
        "height, width = x.shape[0] - 2, x.shape[1] - 2",
        "height, width = x.shape[0] // 2 * 2 - 2, x.shape[1] // 2 * 2 - 2",
        ("images_of_any_size_are_exact",)),
    Bug("an odd last row and column take what was computed before",
        IMAGE, """    height, width = x.shape[0] - 2, x.shape[1] - 2
    padded = np.pad(x, ((0, 0), (0, 0)))
    height, width = height // 2 * 2, width // 2 * 2
    y = np.zeros((x.shape[0] - 2, x.shape[1] - 2))
    for i in range(0, height, 2):
        for j in range(0, width, 2):
            y[i:i + 2, j:j + 2] = winograd_2d(padded[i:i + 4, j:j + 4], g, multiply)
    return y
""", ("images_of_any_size_are_exact",)),
    Bug("heights and widths are swapped",
        "x.shape[0] - 2, x.shape[1] - 2", "x.shape[1] - 2, x.shape[0] - 2",
        ("images_of_any_size_are_exact",)),
    Bug("tiles begin every pixel",
        IMAGE, """    height, width = x.shape[0] - 2, x.shape[1] - 2
    padded = np.pad(x, ((0, 1), (0, 1)))
    y = np.zeros((height + 1, width + 1))
    for i in range(height):
        for j in range(width):
            y[i:i + 2, j:j + 2] = winograd_2d(padded[i:i + 4, j:j + 4], g, multiply)
    return y[:height, :width]
""", ("images_take_16_multiplications_a_tile",)),
    Bug("tiles begin every 4 pixels",
        "padded[i:i + 4, j:j + 4]", "np.pad(padded[2 * i:2 * i + 4, 2 * j:2 * j + 4], (0, 4))[:4, :4]",
        ("images_of_any_size_are_exact",)),
    Bug("one row of tiles too many",
        IMAGE, """    height, width = x.shape[0] - 2, x.shape[1] - 2
    padded = np.pad(x, ((0, 2 + height % 2), (0, width % 2)))
    y = np.zeros((height + 2 + height % 2, width + width % 2))
    for i in range(0, height + 2, 2):
        for j in range(0, width, 2):
            y[i:i + 2, j:j + 2] = winograd_2d(padded[i:i + 4, j:j + 4], g, multiply)
    return y[:height, :width]
""",
        ("images_take_16_multiplications_a_tile",)),
]
