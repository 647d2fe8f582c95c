"""Mistakes that students make with pruning, each of which must lose points."""

from compress.classroom.mutation import Bug

MASK = """    mask = np.ones(w.size, bool)
    order = np.argsort(np.abs(w), axis=None, kind="stable")
    mask[order[:round(sparsity * w.size)]] = False
    return mask.reshape(w.shape)
"""

BUGS = [
    Bug("a threshold prunes all that are equal to it",
        MASK, """    pruned = round(sparsity * w.size)
    if pruned == 0:
        return np.ones(w.shape, bool)
    return np.abs(w) > np.sort(np.abs(w), axis=None)[pruned - 1]
""", ("prunes_exactly", "first_of_equals_go")),
    Bug("a threshold keeps all that are equal to it",
        MASK, """    pruned = round(sparsity * w.size)
    if pruned == w.size:
        return np.zeros(w.shape, bool)
    return np.abs(w) >= np.sort(np.abs(w), axis=None)[pruned]
""", ("prunes_exactly", "first_of_equals_go")),
    Bug("a quantile is the threshold",
        MASK, "    return np.abs(w) >= np.quantile(np.abs(w), sparsity)\n", ("prunes_exactly",)),
    Bug("the count is cut off, not rounded",
        "order[:round(sparsity * w.size)]", "order[:int(sparsity * w.size)]", ("prunes_exactly",)),
    Bug("sorted by value: negative weights go first",
        "np.argsort(np.abs(w), axis=None", "np.argsort(w, axis=None", ("keeps_the_largest",)),
    Bug("a sort that is not stable",
        'np.argsort(np.abs(w), axis=None, kind="stable")',
        "np.lexsort((-np.arange(w.size), np.abs(w).ravel()))", ("first_of_equals_go",)),
    Bug("each row is pruned by itself",
        MASK, """    rows = w.reshape(len(w), -1)
    order = np.argsort(np.abs(rows), axis=1, kind="stable")
    mask = np.ones(rows.shape, bool)
    for row, first in zip(mask, order[:, :round(sparsity * rows.shape[1])]):
        row[first] = False
    return mask.reshape(w.shape)
""", ("keeps_the_largest", "prunes_exactly")),
    Bug("the mask is of the other kind: True where it prunes",
        "return mask.reshape(w.shape)", "return ~mask.reshape(w.shape)",
        ("keeps_the_largest", "first_of_equals_go")),
    Bug("the weights are zeroed in place on the way",
        "return mask.reshape(w.shape)", "w[...] *= mask.reshape(w.shape)\n    return mask.reshape(w.shape)",
        ("prunes_exactly", "keeps_the_largest")),
    Bug("after the end the cubic goes on",
        "done = min(max((t - begin) / (end - begin), 0), 1)", "done = max((t - begin) / (end - begin), 0)",
        ("schedule_begins_and_ends",)),
    Bug("before the beginning the cubic goes on",
        "done = min(max((t - begin) / (end - begin), 0), 1)", "done = min((t - begin) / (end - begin), 1)",
        ("schedule_begins_and_ends", "prunes_by_the_schedule")),
    Bug("initial sparsity is left out",
        "final + (initial - final) * (1 - done) ** 3", "final * (1 - (1 - done) ** 3)",
        ("schedule_begins_and_ends",)),
    Bug("the schedule is a straight line",
        "(1 - done) ** 3", "(1 - done)", ("schedule_slows_down", "prunes_by_the_schedule")),
    Bug("slow first and fast at the end",
        "final + (initial - final) * (1 - done) ** 3", "initial + (final - initial) * done**3",
        ("schedule_slows_down",)),
    Bug("whole steps only: integer division",
        "(t - begin) / (end - begin)", "(t - begin) // (end - begin)",
        ("schedule_rises", "schedule_slows_down")),
    Bug("only the gradient is masked: momentum moves a pruned weight",
        "return w * mask, m * mask, v * mask", "return w, m * mask, v * mask", ("zeros_survive_adam",)),
    Bug("what m remembers is kept for pruned weights",
        "return w * mask, m * mask, v * mask", "return w * mask, m, v * mask", ("zeros_survive_adam",)),
    Bug("what v remembers is kept for pruned weights",
        "return w * mask, m * mask, v * mask", "return w * mask, m * mask, v", ("zeros_survive_adam",)),
    Bug("no correction of the bias",
        "(m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)", "m / (np.sqrt(v) + eps)",
        ("is_adam_where_nothing_is_pruned", "zeros_survive_adam")),
    Bug("the bias is corrected with the second rate twice",
        "step = (m / (1 - beta1**t)", "step = (m / (1 - beta2**t)", ("is_adam_where_nothing_is_pruned",)),
    Bug("eps inside of the root",
        "(np.sqrt(v / (1 - beta2**t)) + eps)", "np.sqrt(v / (1 - beta2**t) + eps)",
        ("is_adam_where_nothing_is_pruned",)),
    Bug("the square of m in place of that of g",
        "(1 - beta2) * g**2", "(1 - beta2) * m**2", ("is_adam_where_nothing_is_pruned",)),
    Bug("m and v are returned the wrong way round",
        "return w * mask, m * mask, v * mask", "return w * mask, v * mask, m * mask",
        ("is_adam_where_nothing_is_pruned", "zeros_survive_adam")),
    Bug("steps are counted from 0",
        "for t in range(1, steps + 1):\n        w, m", "for t in range(steps):\n        w, m",
        ("prunes_by_the_schedule",)),
    Bug("the schedule's step is one behind",
        "cubic_sparsity(t, begin, end, 0, sparsity)", "cubic_sparsity(t - 1, begin, end, 0, sparsity)",
        ("prunes_by_the_schedule",)),
    Bug("the last mask is not applied",
        "        w = w * mask\n    return w\n", "    return w\n", ("prunes_by_the_schedule",)),
    Bug("the mask of the weights as they were in the beginning",
        "    m, v, mask = np.zeros_like(w), np.zeros_like(w), np.ones(w.shape, bool)",
        "    m, v, mask = np.zeros_like(w), np.zeros_like(w), magnitude_mask(w, sparsity)",
        ("prunes_by_the_schedule",)),
    Bug("the first curve prunes what is pruned: to a sparsity of the rest",
        "return [loss(w * magnitude_mask(w, sparsity)) for sparsity in sparsities]",
        """losses, left = [], 1.0
    for sparsity in sparsities:
        left *= 1 - sparsity
        losses.append(loss(w * magnitude_mask(w, 1 - left)))
    return losses""", ("first_curve",)),
    Bug("the second curve goes on from what was retrained",
        "        losses.append(loss(train(w * mask, mask)))",
        "        w = train(w * mask, mask)\n        losses.append(loss(w))", ("second_curve",)),
    Bug("the weights are given to train before they are pruned",
        "        losses.append(loss(train(w * mask, mask)))",
        "        losses.append(loss(train(w, mask)))", ("second_curve",)),
    Bug("retrained without a mask",
        "        losses.append(loss(train(w * mask, mask)))",
        "        losses.append(loss(train(w * mask, np.ones(w.shape, bool))))", ("second_curve",)),
    Bug("the third curve prunes by the magnitudes before any training",
        "        w = train(w * mask, mask)\n        losses.append(loss(w))",
        "        losses.append(loss(train(w * mask, mask)))", ("third_curve", "curves_lie_in_order")),
    Bug("the loss is taken before training",
        "        w = train(w * mask, mask)\n        losses.append(loss(w))",
        "        losses.append(loss(w * mask))\n        w = train(w * mask, mask)", ("third_curve",)),
    Bug("only the last loss is returned",
        "        losses.append(loss(w))\n    return losses", "    return [loss(w)]", ("third_curve",)),
]
