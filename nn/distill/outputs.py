"""The outputs of layers in the middle of a network, captured while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..context import ambient, within
from ..module import Module
from ..tensor import Tensor

Outputs = dict[str, list[Any]]  # by the name of a layer: its outputs, in the order in which it ran


def layers_named(who: str, whose: str, model: Module, names: Iterable[str]) -> dict[str, Module]:
    """Modules of `model` by their paths. Raises ValueError for a path that is none."""
    there = dict(model.named_modules())
    for name in names:
        if name not in there:
            raise ValueError(f"{who}: {whose} has no layer {name!r}; it has {', '.join(filter(None, there))}")
    return {name: there[name] for name in names}


def capture(body: Callable[[], Any], *layers: dict[str, Module]) -> tuple[Any, list[Outputs]]:
    """body(), and the outputs of these layers in this thread meanwhile, a dictionary for each that came.

    A forward hook that is there already is called, too. Outputs inside of nn.checkpoint come without their
    graph, of which nothing is left there for backward."""
    captured: list[Outputs] = [{name: [] for name in some} for some in layers]
    places = {id(module): into[name] for some, into in zip(layers, captured, strict=True)
              for name, module in some.items()}
    before = ambient.context.forward_hook

    def hook(module: Module, out: Any) -> None:
        if id(module) in places:
            cut = ambient.context.numbers is not None and isinstance(out, Tensor)
            places[id(module)].append(out.detach() if cut else out)
        if before is not None:
            before(module, out)

    with within("forward_hook", hook):
        return body(), captured


def only_output(who: str, whose: str, name: str, outputs: list[Any]) -> Tensor:
    """The Tensor that a layer gave. Raises ValueError for one that ran never or more than once, or gave
    something else."""
    if len(outputs) != 1:
        how = "did not run" if not outputs else f"ran {len(outputs)} times"
        raise ValueError(f"{who}: {whose} layer {name!r} {how} in a forward; wanted one that runs once (in a "
                         "network that computes as its Program does, layers do not run)")
    (out,) = outputs
    if not isinstance(out, Tensor):
        raise ValueError(f"{who}: {whose} layer {name!r} gives a {type(out).__name__}, wanted a Tensor")
    return out
