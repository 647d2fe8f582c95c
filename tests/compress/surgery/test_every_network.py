"""Whatever a network is made of: channels are removed and it computes what it computed without them, or
surgery says why not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import compress
from compress.surgery import removal
from compress.surgery.cut import Cut
from nn.rules import RULES
from nn.sizes import at
from nn.testing.networks import networks
from tests.compress.networks import close, outputs
from tests.compress.surgery.branching import branching


def some_roots(data, groups):
    """Some channels of some groups, but never all of one."""
    roots = set()
    for group in groups:
        if len(group) > 1:
            roots |= set(data.draw(st.sets(st.sampled_from(group.roots), max_size=len(group) - 1)))
    return roots


def masked(cut, roots, inputs):
    """The network as it was, each removed channel multiplied by zero wherever it appears: the graph is
    walked, and nothing of surgery is used but which entries belong together."""
    graph = cut.graph
    given = dict(zip(graph.inputs, inputs, strict=True))
    values, sizes = {None: None, **graph.constants, **given}, graph.sizes(given)
    for node in graph.nodes:
        out = np.array(RULES[node.op].forward(*(values[i] for i in node.inputs), **at(node.attrs, sizes))[0])
        for axis, entries in enumerate(cut.groups.followed.axes[node.output]):
            if entries is not None and np.any(gone := cut.gone(node.output, axis, roots)):
                out[(slice(None),) * axis + (gone,)] = 0
        values[node.output] = out
    return values[graph.output]


ANY = st.one_of(networks(most=8).map(lambda network: (network, network.inputs(3))),
                branching().map(lambda drawn: (drawn[0], (drawn[1],))))


@given(ANY, st.data())
def test_any_channels_can_be_removed_as_if_they_were_zero(drawn, data):
    network, x = drawn
    cut = Cut.of("test", network, x)
    roots = some_roots(data, cut.groups)
    wanted = masked(cut, roots, x)
    fold, removal.fold = removal.fold, lambda *_: []    # here removed channels are zero, not constant
    try:
        small = removal.without(cut, roots)
    finally:
        removal.fold = fold
    close(outputs(small, x), wanted)
    close(compress.convert(small, x)(*x), wanted)


@given(ANY, st.data())
def test_channels_of_zeros_are_removed_and_the_outputs_stay(drawn, data):
    network, x = drawn
    groups = compress.channel_groups(network, x)
    roots, arrays = some_roots(data, groups), dict(network.named_parameters())
    zeros = ("filter", "output", *data.draw(st.sampled_from([(), ("entry",)])))    # with biases, γ and β?
    for group in groups:
        for (name, axis), places in group.parts.items():
            makes = name in arrays and groups.roles[name, axis] in zeros
            for root, some in zip(group.roots, places, strict=True):
                if makes and root in roots:
                    w = arrays[name].data.copy()
                    w[(slice(None),) * axis + (some,)] = 0
                    arrays[name].data = w
    wanted = outputs(network, x)
    small = compress.compact(network, x)
    if not small.surgery.notes:
        close(outputs(small, x), wanted)
        close(compress.convert(small, x)(*x), wanted)


@given(ANY)
def test_every_entry_is_in_one_group_or_kept(drawn):
    groups = compress.channel_groups(*drawn)
    for (name, axis) in groups.roles:
        places = [group.parts[name, axis] for group in groups if (name, axis) in group.parts]
        found = np.concatenate([np.concatenate(some) for some in places]) if places else np.array([], int)
        assert len(set(found.tolist())) == len(found)
        length = groups.graph.constants[name].shape[axis]
        assert ((name, axis) in groups.kept) == (len(found) < length)
    assert len(str(groups).splitlines()) == len(groups) + len(groups.kept)
