"""Mistakes that students make with OBD and OBS, each of which must lose points."""

from compress.classroom.mutation import Bug

DAMPED = "h + damping * np.diag(h).mean() * np.eye(len(h))"
DIAGONAL = "(j**2).sum(axis=1).mean(axis=0)"
GONE = 'np.argsort(saliency, kind="stable")[:len(w) - k]'
OBD_WRITES = "    w = w.copy()\n    w[gone] = 0\n"
THERE = "    saliency[there] = w[there] ** 2 / diagonal[there] / 2\n"
ZEROS = "    moved[q] = left[q] = left[:, q] = 0\n    return moved, left, float(w[q] ** 2 / pivot / 2)\n"
MOVED = "moved = w - w[q] / pivot * row\n"
SCHUR = "left = inverse - np.outer(row, row) / pivot\n"
STEP = """        q = int(np.argmin(obs_saliency(w, inverse)))
        w, inverse, cost = remove(w, inverse, q)
"""
GROUP_ZEROS = "    moved[group] = left[group] = left[:, group] = 0\n"
GROUP_LEFT = "left = inverse - rows.T @ solved[:, 1:]\n"
CHEAPEST = "kept = min(combinations(range(len(w)), k), key=cost)\n"
GREEDY = """    _, order, costs = obs(w, inverse, k)
    return [q for q in range(len(w)) if q not in order], sum(costs)
"""

BUGS = [
    Bug("the slope of tanh is forgotten",
        'w2, 1 - a**2, x)', "w2, np.ones(a.shape), x)", ("derivatives_are_those_of_the_network",)),
    Bug("weights of w1 in the order of its columns",
        '"oh,nh,ni->nohi"', '"oh,nh,ni->noih"', ("derivatives_are_those_of_the_network",)),
    Bug("an output depends on the last layer of all outputs",
        "np.eye(len(w2)), a)", "np.ones((len(w2), len(w2))), a)", ("derivatives_are_those_of_the_network",)),
    Bug("w2 before w1",
        "np.concatenate([by_w1.reshape(*shape, w1.size), by_w2.reshape(*shape, w2.size)], axis=2)",
        "np.concatenate([by_w2.reshape(*shape, w2.size), by_w1.reshape(*shape, w1.size)], axis=2)",
        ("derivatives_are_those_of_the_network",)),
    Bug("derivatives are the mean over samples",
        "a = np.tanh(x @ w1.T)\n    by_w1",
        "x = np.broadcast_to(x.mean(axis=0), x.shape)\n    a = np.tanh(x @ w1.T)\n    by_w1",
        ("derivatives_are_those_of_the_network",)),
    Bug("H is a mean over outputs, too",
        "rows.T @ rows / len(j)", "rows.T @ rows / len(rows)",
        ("curvature_is_a_mean_of_squares",)),
    Bug("H is a sum over samples",
        "rows.T @ rows / len(j)", "rows.T @ rows", ("curvature_is_a_mean_of_squares",)),
    Bug("H is the product of the mean gradient with itself",
        "rows = j.reshape(-1, j.shape[2])\n    return rows.T @ rows / len(j)",
        "mean = j.mean(axis=0)\n    return mean.T @ mean", ("curvature_is_a_mean_of_squares",)),
    Bug("H is of the sum of outputs",
        "rows = j.reshape(-1, j.shape[2])", "rows = j.sum(axis=1)",
        ("curvature_is_a_mean_of_squares",)),
    Bug("H without what is off its diagonal",
        "rows.T @ rows / len(j)", "np.diag(np.diag(rows.T @ rows)) / len(j)",
        ("curvature_is_a_mean_of_squares",)),
    Bug("the square of the mean", DIAGONAL, "(j.mean(axis=0)**2).sum(axis=0)",
        ("curvature_is_a_mean_of_squares",)),
    Bug("the square of the sum over outputs", DIAGONAL, "(j.sum(axis=1)**2).mean(axis=0)",
        ("curvature_is_a_mean_of_squares",)),
    Bug("outputs are averaged", DIAGONAL, "(j**2).mean(axis=(0, 1))", ("curvature_is_a_mean_of_squares",)),
    Bug("the curvature is a variance", DIAGONAL, "j.var(axis=0).sum(axis=0)",
        ("curvature_is_a_mean_of_squares",)),
    Bug("lambda is damping, whatever the size of H", DAMPED, "h + damping * np.eye(len(h))",
        ("the_inverse_is_damped",)),
    Bug("lambda is of the trace", DAMPED, "h + damping * np.trace(h) * np.eye(len(h))",
        ("the_inverse_is_damped",)),
    Bug("each number of the diagonal grows by its own part", DAMPED, "h + damping * np.diag(np.diag(h))",
        ("the_inverse_is_damped",)),
    Bug("no damping, a pseudo-inverse", f"np.linalg.inv({DAMPED})", "np.linalg.pinv(h)",
        ("the_inverse_is_damped",)),
    Bug("lambda is added everywhere", DAMPED, "h + damping * np.diag(h).mean()", ("the_inverse_is_damped",)),
    Bug("H is damped in place", f"    return np.linalg.inv({DAMPED})",
        "    h += damping * np.diag(h).mean() * np.eye(len(h))\n    return np.linalg.inv(h)",
        ("the_inverse_is_damped",)),
    Bug("OBD forgets the half", "return h * w**2 / 2", "return h * w**2",
        ("obd_predicts_what_one_weight_costs", "obd_prunes_the_least")),
    Bug("OBD is magnitude", "return h * w**2 / 2", "return w**2 / 2",
        ("obd_predicts_what_one_weight_costs", "obd_prunes_the_least")),
    Bug("k weights go", GONE, 'np.argsort(saliency, kind="stable")[:k]', ("obd_prunes_the_least",)),
    Bug("of equal ones the last goes", GONE, "np.lexsort((-np.arange(len(w)), saliency))[:len(w) - k]",
        ("obd_prunes_the_least",)),
    Bug("a threshold: of equal ones all stay or go", GONE,
        "np.flatnonzero(saliency <= (np.sort(saliency)[len(w) - k - 1] if k < len(w) else -1))",
        ("obd_prunes_the_least",)),
    Bug("counted from the end: with k = 0 nothing goes", GONE,
        'np.argsort(saliency, kind="stable")[:-k or 0]', ("obd_prunes_the_least",)),
    Bug("OBD writes into w", OBD_WRITES, "    w[gone] = 0\n", ("obd_prunes_the_least",)),
    Bug("OBS multiplies by the diagonal of the inverse", THERE,
        THERE.replace("/ diagonal[there]", "* diagonal[there]"),
        ("obs_predicts_what_one_weight_costs", "each_step_takes_the_cheapest")),
    Bug("OBS forgets the half", THERE, THERE.replace(" / 2", ""),
        ("obs_predicts_what_one_weight_costs",)),
    Bug("OBS takes the diagonal of H, which is OBD", "    diagonal = np.diag(inverse)\n",
        "    diagonal = 1 / np.diag(np.linalg.pinv(inverse))\n",
        ("obs_predicts_what_one_weight_costs", "each_step_takes_the_cheapest")),
    Bug("weights that are gone have saliency 0", "np.full(len(w), np.inf)", "np.zeros(len(w))",
        ("obs_predicts_what_one_weight_costs", "each_step_takes_the_cheapest")),
    Bug("weights that are 0 count as gone", "there = diagonal > 0", "there = w != 0",
        ("first_of_equals_go",)),
    Bug("the others do not move", MOVED, "moved = w.copy()\n",
        ("what_is_left_is_a_smaller_problem", "each_step_takes_the_cheapest")),
    Bug("the others move the other way", MOVED, "moved = w + w[q] / pivot * row\n",
        ("what_is_left_is_a_smaller_problem", "each_step_takes_the_cheapest")),
    Bug("the others move as far as the inverse says, undivided", MOVED, "moved = w - w[q] * row\n",
        ("what_is_left_is_a_smaller_problem",)),
    Bug("remove writes into w", MOVED, "moved = w\n    moved -= w[q] / pivot * row\n",
        ("what_is_left_is_a_smaller_problem",)),
    Bug("the inverse stays as it was", SCHUR, "left = inverse.copy()\n",
        ("what_is_left_is_a_smaller_problem", "each_step_takes_the_cheapest")),
    Bug("the Schur complement is not divided", SCHUR, "left = inverse - np.outer(row, row)\n",
        ("what_is_left_is_a_smaller_problem", "each_step_takes_the_cheapest")),
    Bug("only the diagonal of the inverse is brought up to date", SCHUR,
        "left = inverse - np.diag(row**2) / pivot\n",
        ("what_is_left_is_a_smaller_problem", "each_step_takes_the_cheapest")),
    Bug("remove writes into the inverse", SCHUR, "left = inverse\n    left -= np.outer(row, row) / pivot\n",
        ("what_is_left_is_a_smaller_problem",)),
    Bug("rounding is left where zeros should be", ZEROS,
        ZEROS.replace("moved[q] = left[q] = left[:, q] = 0", "moved[q] += 1e-17\n    left[q] += 1e-17"),
        ("what_is_left_is_a_smaller_problem", "each_step_takes_the_cheapest")),
    Bug("zeros in the rows of the inverse, rounding in its columns", ZEROS,
        ZEROS.replace("left[:, q] = 0", "0\n    left[:, q] = 1e-17"), ("what_is_left_is_a_smaller_problem",)),
    Bug("a weight that went is as good as 0", ZEROS, ZEROS.replace("moved[q] = left[q]", "left[q]").replace(
        "    return", "    moved[q] = 1e-12\n    return"),
        ("what_is_left_is_a_smaller_problem", "each_step_takes_the_cheapest")),
    Bug("remove tells what OBD would", "float(w[q] ** 2 / pivot / 2)",
        "float(w[q] ** 2 * np.linalg.pinv(inverse)[q, q] / 2)",
        ("what_is_left_is_a_smaller_problem", "each_step_takes_the_cheapest")),
    Bug("the saliencies of the beginning decide all", STEP, """        if not order:
            first = np.argsort(obs_saliency(w, inverse), kind="stable")
        q = int(first[len(order)])
        w, inverse, cost = remove(w, inverse, q)
""", ("each_step_takes_the_cheapest",)),
    Bug("all with the first inverse", STEP, """        saliency = obs_saliency(w, inverse)
        saliency[order] = np.inf
        q = int(np.argmin(saliency))
        w, _, cost = remove(w, inverse, q)
        w[order] = 0
""", ("each_step_takes_the_cheapest",)),
    Bug("the inverse goes on, the weights do not", STEP, STEP.replace(
        "w, inverse, cost = remove(w, inverse, q)",
        "moved, inverse, cost = remove(w, inverse, q)\n        w = np.where(moved == 0, 0, w)"),
        ("each_step_takes_the_cheapest",)),
    Bug("the smallest goes, whatever it costs", STEP, STEP.replace(
        "np.argmin(obs_saliency(w, inverse))", "np.argmin(np.where(np.diag(inverse) > 0, abs(w), np.inf))"),
        ("each_step_takes_the_cheapest",)),
    Bug("of equal ones the last goes, in the sequence", STEP, STEP.replace(
        "np.argmin(obs_saliency(w, inverse))", "len(w) - 1 - np.argmin(obs_saliency(w, inverse)[::-1])"),
        ("first_of_equals_go",)),
    Bug("k go, one after the other", "for _ in range(len(w) - k)", "for _ in range(k)",
        ("each_step_takes_the_cheapest", "first_of_equals_go")),
    Bug("each ΔL holds those before it", "costs.append(cost)", "costs.append(cost + sum(costs))",
        ("each_step_takes_the_cheapest",)),
    Bug("a group costs the sum of its saliencies",
        "float(w[group] @ solved[:, 0] / 2)", "float(obs_saliency(w, inverse)[group].sum())",
        ("groups_go_at_once", "the_oracle_tries_all")),
    Bug("a group's inverse is inverted without the rows between its weights",
        "np.linalg.solve(inverse[np.ix_(group, group)],", "np.linalg.solve(np.diag(np.diag(inverse)[group]),",
        ("groups_go_at_once", "the_oracle_tries_all")),
    Bug("a group forgets the half", "float(w[group] @ solved[:, 0] / 2)", "float(w[group] @ solved[:, 0])",
        ("groups_go_at_once", "the_oracle_tries_all")),
    Bug("the others do not move for a group", "moved = w - rows.T @ solved[:, 0]\n", "moved = w.copy()\n",
        ("groups_go_at_once",)),
    Bug("the inverse stays as it was for a group", GROUP_LEFT, "left = inverse.copy()\n",
        ("groups_go_at_once",)),
    Bug("the weights of a group are only as good as 0", GROUP_ZEROS,
        "    left[group] = left[:, group] = 0\n    moved[group] = 1e-15\n", ("groups_go_at_once",)),
    Bug("a group is sorted, its weights are not",
        "    rows = inverse[group]\n", "    rows, group = inverse[group], sorted(group)\n",
        ("groups_go_at_once",)),
    Bug("the oracle goes one by one",
        CHEAPEST + "    return list(kept), cost(kept)\n", GREEDY, ("the_oracle_tries_all",)),
    Bug("the oracle takes the k weights that cost most alone", CHEAPEST,
        "kept = tuple(sorted(np.argsort(obs_saliency(w, inverse))[len(w) - k:].tolist()))\n",
        ("the_oracle_tries_all",)),
    Bug("the oracle adds up saliencies", CHEAPEST,
        "kept = max(combinations(range(len(w)), k), key=lambda kept: obs_saliency(w, inverse)[list(kept)]"
        ".sum())\n", ("the_oracle_tries_all",)),
    Bug("the oracle does not look at the last set", CHEAPEST,
        "kept = min(list(combinations(range(len(w)), k))[:-1], key=cost)\n", ("the_oracle_tries_all",)),
    Bug("the oracle's others do not move",
        "return remove_group(w, inverse, [q for q in range(len(w)) if q not in kept])[2]",
        "change = np.where(np.isin(np.arange(len(w)), kept), 0, w)\n"
        "        return float(change @ np.linalg.inv(inverse) @ change) / 2", ("the_oracle_tries_all",)),
]
