"""The table of operations: RULES maps each name to its Rule."""

from nn.rules import activations, arithmetic, conv, linear, losses, normalise, pool, reductions, shapes
from nn.rules.record import Rule

RULES = {
    rule.name: rule
    for room in (arithmetic, linear, reductions, shapes, activations, conv, pool, normalise, losses)
    for rule in vars(room).values() if isinstance(rule, Rule)
}
