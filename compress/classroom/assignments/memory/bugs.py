"""Mistakes that students make with checkpoints."""

from compress.classroom.mutation import Bug

ROOT, KEEPS, ENDS = "segments_take_twice_the_root", "plans_keep_the_budget", "one_place_and_enough_places"
WORSE, BITS, GONE = "never_worse_than_segments", "gradients_have_the_same_bits", "run_has_only_what_is_kept"
BEST, LONG = "no_plan_is_better", "long_chains_are_planned_as_well"

BACK = '[("load", i - 1), ("backward", i), ("drop", i - 1)]'
BEST_SPLIT = "middle = first + min(range(1, k), key=lambda m: m + fewer[k - m] + row[m])"
CHOOSE = "row.append(min(m + fewer[k - m] + row[m] for m in range(1, k)))"

BUGS = [
    Bug("segments: nothing is dropped", BACK, '[("load", i - 1), ("backward", i)]', (ROOT,)),
    Bug("segments: of two layers, however many there are",
        "while size * size < n:", "while size < 2:", (ROOT,)),
    Bug("segments: every input is kept on the way forward",
        "        if i in starts:\n", "        if True:\n", (ROOT,)),
    Bug("segments: the last one runs twice, too", """\
        if start != starts[-1]:
            steps.append(("load", start))
        else:
            steps.append(("keep", start))
""", """\
        if start == starts[-1]:
            steps += [("keep", start), *(("forward", i) for i in range(start + 1, end))]
        steps.append(("load", start))
""", (ROOT,)),
    Bug("segments: a shorter last one is forgotten", "range(0, n, size)", "range(0, n - n % size or n, size)",
        (ROOT,)),
    Bug("segments: the inputs inside run again for each layer", """\
        for i in range(start + 1, end):
            steps += [("forward", i), ("keep", i)]
        for i in range(end, start, -1):
            steps += [("load", i - 1), ("backward", i), ("drop", i - 1)]
""", """\
        for i in range(end, start, -1):
            steps += [("load", start), *(("forward", k) for k in range(start + 1, i)), ("backward", i)]
        steps.append(("drop", start))
""", (ROOT,)),
    Bug("segments: layers from 0", BACK, '[("load", i - 1), ("backward", i - 1), ("drop", i - 1)]', (ROOT,)),
    Bug("costs: a layer's own way back is counted as a forward step",
        "[k * (k - 1) // 2 for", "[k * (k + 1) // 2 for", (ENDS, BEST, LONG)),
    Bug("costs: the steps to the place are forgotten", CHOOSE, CHOOSE.replace("m + fewer", "fewer"),
        (ENDS, BEST, LONG)),
    Bug("costs: both parts have a place fewer", CHOOSE, CHOOSE.replace("row[m]", "rows[-1][m]"),
        (BEST, LONG)),
    Bug("costs: both parts have all places", CHOOSE, CHOOSE.replace("fewer[k - m]", "row[k - m]"),
        (BEST, LONG)),
    Bug("costs: the middle is taken for the best place", CHOOSE,
        "row.append(k // 2 + fewer[k - k // 2] + row[k // 2])", (BEST, LONG)),
    Bug("plan: the middle is taken for the best place", BEST_SPLIT, "middle = first + k // 2", (BEST, LONG)),
    Bug("plan: places lie at equal distances", BEST_SPLIT,
        "middle = first + min(k - 1, max(1, n // budget))", (BEST, LONG)),
    Bug("plan: places are put near the end first", BEST_SPLIT, "middle = last - 1", (WORSE, BEST, LONG)),
    Bug("plan: the part in front has a place fewer", "            last = middle\n",
        "            last, places = middle, max(1, places - 1)\n", (BEST, LONG)),
    Bug("plan: the part behind has as many places",
        "back(middle, last, places - 1)", "back(middle, last, places)", (KEEPS,)),
    Bug("plan: nothing is dropped", 'steps.extend([("backward", first + 1), ("drop", first)])',
        'steps.append(("backward", first + 1))', (KEEPS,)),
    Bug("plan: the input itself is not kept", 'costs(n, budget), [("keep", 0)]', "costs(n, budget), []",
        (KEEPS, ENDS)),
    Bug("plan: x0 is not counted", "rows, steps = costs(n, budget), ",
        "budget += 1\n    rows, steps = costs(n, budget), ", (KEEPS,)),
    Bug("plan: forgets to load before it goes on", '            steps.append(("load", first))\n', "",
        (KEEPS, ENDS, BEST)),
    Bug("plan: dropped before it is loaded", '            steps.append(("load", first))\n',
        '            steps.extend([("drop", first), ("load", first)])\n', (KEEPS, ENDS)),
    Bug("run: keeps everything that it computes", "            x, at = forward(i, x), i",
        "            x, at = forward(i, x), i\n            places[i] = x", (GONE,)),
    Bug("run: drops nothing", "            del places[i]", "            pass", (GONE,)),
    Bug("run: asks for nothing",
        'raise ValueError(f"{action} {i}: what it needs is not there")', "pass", (GONE,)),
    Bug("run: an error of another kind", "raise ValueError(", "raise RuntimeError(", (GONE,)),
    Bug("run: the gradient goes in where the value belongs",
        "g = backward(i, x, g)", "g = backward(i, g, x)", (BITS,)),
    Bug("run: every layer gets the gradient of the last", "            g = backward(i, x, g)\n",
        "            d = backward(i, x, g)\n            if i == 1:\n                g = d\n", (BITS,)),
    Bug("run: load takes the value out of its place",
        "x, at = places[i], i", "x, at = places.pop(i), i", (BITS,)),
    Bug("run: what is current stays current after the way back", "            x = at = None\n", "", (GONE,)),
    Bug("run: goes on in float64",
        "x, at = forward(i, x), i", "x, at = forward(i, x).astype(float), i", (BITS,)),
    Bug("run: goes forward once more in each way back", "            g = backward(i, x, g)\n",
        "            forward(i, x)\n            g = backward(i, x, g)\n", (BITS,)),
]
