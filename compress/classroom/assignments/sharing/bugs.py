"""Mistakes that students make with shared weights, each of which must lose points."""

from compress.classroom.mutation import Bug

MOVED = """    counts = np.bincount(codes.ravel(), minlength=k)
    sums = np.bincount(codes.ravel(), w.ravel(), minlength=k)
    new = centroids.copy()
    new[counts > 0] = sums[counts > 0] / counts[counts > 0]
    return new
"""
LLOYD = """        before, codes = codes, nearest(w, centroids)
        if np.array_equal(before, codes):
            break
    return centroids, codes
"""

BUGS = [
    Bug("the first centroids are random weights",
        "np.linspace(w.min(), w.max(), k, dtype=np.float64)",
        "np.random.default_rng(0).choice(w.ravel(), k).astype(np.float64)", ("begins_at_equal_distances",)),
    Bug("the first centroids leave out the largest weight",
        "np.linspace(w.min(), w.max(), k, dtype=np.float64)",
        "np.linspace(w.min(), w.max(), k, endpoint=False, dtype=np.float64)", ("begins_at_equal_distances",)),
    Bug("the first centroids lie about zero",
        "np.linspace(w.min(), w.max(), k, dtype=np.float64)",
        "np.linspace(-np.abs(w).max(), np.abs(w).max(), k)", ("begins_at_equal_distances",)),
    Bug("of two as near the higher code",
        "np.argmin(distances, axis=-1)", "len(centroids) - 1 - np.argmin(distances[..., ::-1], axis=-1)",
        ("assignment_is_nearest",)),
    Bug("distances have a sign",
        "np.abs(w[..., None] - centroids)", "w[..., None] - centroids", ("assignment_is_nearest",)),
    Bug("centroids are taken to be sorted",
        "    distances = np.abs(w[..., None] - centroids)\n    return np.argmin(distances, axis=-1)",
        "    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, w)",
        ("assignment_is_nearest", "codes_fit_the_centroids")),
    Bug("codes come back flat",
        "return np.argmin(distances, axis=-1)", "return np.argmin(distances, axis=-1).ravel()",
        ("assignment_is_nearest",)),
    Bug("codes are counted from 1",
        "return np.argmin(distances, axis=-1)", "return np.argmin(distances, axis=-1) + 1",
        ("assignment_is_nearest",)),
    Bug("an empty cluster is divided by zero",
        MOVED, """    with np.errstate(invalid="ignore"):
        return np.bincount(codes.ravel(), w.ravel(), minlength=k) / np.bincount(codes.ravel(), minlength=k)
""", ("centroids_are_means",)),
    Bug("an empty cluster goes to 0",
        "new = centroids.copy()", "new = np.zeros(k)", ("centroids_are_means", "cost_never_rises")),
    Bug("an empty cluster is dropped",
        "    return new\n", "    return new[counts > 0]\n", ("centroids_are_means", "cost_never_rises")),
    Bug("the given centroids are overwritten",
        "new = centroids.copy()", "new = centroids", ("centroids_are_means",)),
    Bug("the median in place of the mean",
        MOVED, """    return np.array([np.median(w[codes == j]) if (codes == j).any() else centroids[j]
                     for j in range(k)])
""", ("centroids_are_means", "cost_never_rises")),
    Bug("half-way between the least and the largest member",
        MOVED, """    members = [w[codes == j] for j in range(k)]
    return np.array([(own.min() + own.max()) / 2 if own.size else centroids[j]
                     for j, own in enumerate(members)])
""", ("centroids_are_means", "cost_never_rises")),
    Bug("the codes before the last move are returned",
        LLOYD, """        codes = nearest(w, centroids) if _ < moves - 1 else codes
    return centroids, codes
""",
        ("codes_fit_the_centroids",)),
    Bug("one move only",
        "for _ in range(moves):", "for _ in range(min(moves, 1)):",
        ("cost_never_rises", "codes_fit_the_centroids")),
    Bug("one move too many",
        "for _ in range(moves):", "for _ in range(moves + 1):", ("cost_never_rises",)),
    Bug("stops when codes have changed",
        "if np.array_equal(before, codes):", "if not np.array_equal(before, codes):",
        ("cost_never_rises", "codes_fit_the_centroids")),
    Bug("the weights are not assigned anew",
        LLOYD, "    return centroids, codes\n", ("codes_fit_the_centroids",)),
    Bug("the gradient of the last member only",
        "np.add.at(gradients, codes, g)", "gradients[codes] += g", ("gradient_is_the_sum_over_members",)),
    Bug("the mean of the gradients",
        "np.add.at(gradients, codes, g)\n    return gradients",
        "np.add.at(gradients, codes, g)\n"
        "    return gradients / np.maximum(np.bincount(codes.ravel(), minlength=k), 1)",
        ("gradient_is_the_sum_over_members",)),
    Bug("no gradient for a last centroid without members",
        "    gradients = np.zeros(k)\n    np.add.at(gradients, codes, g)\n    return gradients",
        "    return np.bincount(codes.ravel(), g.ravel())", ("gradient_is_the_sum_over_members",)),
    Bug("a byte a code",
        "    packed = np.zeros((codes.size * bits + 7) // 8, np.uint8)",
        "    return codes.ravel().astype(np.uint8)\n    packed = np.zeros(codes.size, np.uint8)",
        ("packs_without_gaps", "stored_weights_are_near")),
    Bug("the highest bit first",
        "packed[at // 8] |= (code >> b & 1) << at % 8",
        "packed[at // 8] |= (code >> bits - 1 - b & 1) << 7 - at % 8",
        ("packs_without_gaps", "unpacks_what_was_packed")),
    Bug("a byte too many where the codes fill theirs",
        "(codes.size * bits + 7) // 8", "codes.size * bits // 8 + 1", ("packs_without_gaps",)),
    Bug("no code lies across two bytes",
        "            at = i * bits + b\n",
        "            at = i // (8 // bits) * 8 + i % (8 // bits) * bits + b\n"
        "            if at // 8 >= len(packed):\n                continue\n", ("packs_without_gaps",)),
    Bug("two columns of codes are packed in the order of columns",
        "enumerate(codes.ravel().tolist())", "enumerate(codes.ravel(order='F').tolist())",
        ("stored_weights_are_near",)),
    Bug("unpacked codes are cut to the bits that one byte has",
        "(int(packed[at // 8]) >> at % 8 & 1) << at % bits",
        "(int(packed[at // 8]) >> at % 8 & 1) << at % bits if at // 8 == (at - at % bits) // 8 else 0",
        ("unpacks_what_was_packed",)),
    Bug("all bytes are unpacked, not the first codes only",
        "codes = np.zeros(count, np.int64)", "codes = np.zeros(len(packed) * 8 // bits, np.int64)",
        ("unpacks_what_was_packed",)),
    Bug("whole bytes are not counted where codes end within one",
        "-(-count * bits // 8) + 4 * 2**bits", "count * bits // 8 + 4 * 2**bits", ("bytes_are_as_said",)),
    Bug("the table is forgotten",
        "-(-count * bits // 8) + 4 * 2**bits", "-(-count * bits // 8)", ("bytes_are_as_said",)),
    Bug("the table is counted in numbers",
        "+ 4 * 2**bits", "+ 2**bits", ("bytes_are_as_said",)),
    Bug("bits in place of bytes",
        "-(-count * bits // 8) + 4 * 2**bits", "count * bits + 32 * 2**bits", ("bytes_are_as_said",)),
    Bug("weights are shared with the first centroids, and nothing moves",
        "lloyd(w, first_centroids(w, 2**bits), moves)", "lloyd(w, first_centroids(w, 2**bits), 0)",
        ("stored_weights_are_near",)),
    Bug("b values in place of 2^b",
        "first_centroids(w, 2**bits)", "first_centroids(w, max(bits, 2))", ("stored_weights_are_near",)),
    Bug("the table comes back in float64",
        "table = centroids.astype(np.float32)", "table = centroids", ("stored_weights_are_near",)),
    Bug("weights come back flat",
        "int(np.prod(shape)))].reshape(shape)", "int(np.prod(shape)))]", ("stored_weights_are_near",)),
]
