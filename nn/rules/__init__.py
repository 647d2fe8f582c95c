"""The table of operations: RULES maps each name to its Rule."""

from . import (
    activations,
    arithmetic,
    attention,
    choices,
    conv,
    conv_transpose,
    cumulative,
    divergences,
    einsum,
    erf,
    functions,
    gathering,
    layer_norm,
    linear,
    losses,
    norm,
    normalise,
    order,
    padding,
    pool,
    reductions,
    shapes,
    spread,
    units,
)
from .record import Rule

RULES = {
    rule.name: rule
    for room in (
        arithmetic, functions, erf, choices, linear, einsum, reductions, spread, cumulative, shapes, padding,
        gathering, activations, units, conv, conv_transpose, pool, normalise, layer_norm, attention, losses,
        divergences, norm, order)
    for rule in vars(room).values() if isinstance(rule, Rule)
}
