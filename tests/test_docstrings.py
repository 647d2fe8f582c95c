"""help() explains every public name: its docstring names the arguments and tells of the errors."""

import inspect
import re
import textwrap
from enum import Enum
from pathlib import Path

import compress
import nn
from nn.data import augment
from nn.optim import schedules

HERE = tuple(str(Path(package.__file__).parent) for package in (nn, compress))
ROOMS = (nn, nn.explain, nn.functional, nn.layers, nn.optim, schedules, nn.init, nn.data, augment,
         nn.distill, nn.language, nn.pretraining, nn.train, nn.models, nn.memory, nn.timing, nn.parametrize,
         nn.kernels, nn.random, nn.testing, compress, compress.explain, compress.testing)


def names_of(room):
    """What a module offers: its __all__, or else what it defines without a leading underscore."""
    own = (name for name, value in vars(room).items() if getattr(value, "__module__", "") == room.__name__)
    return getattr(room, "__all__", None) or [name for name in own if not name.startswith("_")]


def offered():
    """{full name: class or function}, each once; not modules, nor instances, whose classes count."""
    found = {}
    for room in ROOMS:
        for name in names_of(room):
            thing = getattr(room, name)
            if name in ("explain", "tensor") and inspect.ismodule(thing):
                thing = type(thing).__call__    # the modules that are functions
            if inspect.isclass(thing) or hasattr(thing, "__wrapped__") or inspect.isroutine(thing):
                found.setdefault(id(thing), (f"{room.__name__}.{name}", thing))
    return dict(found.values())


THINGS = offered()
METHODS = {f"nn.Tensor.{name}": method for name, method in inspect.getmembers(nn.Tensor, inspect.isfunction)
           if not name.startswith("_")}


def documentation(thing):
    """The docstring; of a class that of its __init__ too."""
    init = getattr(thing, "__init__", None) if inspect.isclass(thing) else None
    return "\n".join(filter(None, (inspect.getdoc(thing), inspect.getdoc(init) if init else None)))


def parameters(thing):
    """The names of what a caller passes, but for what every exception or enum takes, or what is ignored."""
    if inspect.isclass(thing) and (issubclass(thing, (Exception, Enum)) or thing.__init__ is object.__init__):
        return list(inspect.signature(thing.__init__).parameters)[1:] if "__init__" in vars(thing) else []
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return []
    return [p.name for p in signature.parameters.values() if p.name not in ("self", "args", "kwargs")]


def is_named(word, text):
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", text)


def raising(thing):
    """The functions in it that raise: itself, or methods of a class that do not say so themselves."""
    functions = vars(thing).values() if inspect.isclass(thing) else [getattr(thing, "__wrapped__", thing)]
    for function in functions:
        function = getattr(function, "__func__", function)
        if inspect.isfunction(function) and function.__code__.co_filename.startswith(HERE):
            code = textwrap.dedent(inspect.getsource(function))
            if re.search(r"^\s*raise \w", code, re.MULTILINE) and "aises" not in (function.__doc__ or ""):
                yield function.__name__


def unexplained(thing):
    """What help(thing) leaves out."""
    text = documentation(thing)
    if not text or (inspect.isclass(thing) and not vars(thing).get("__doc__")):
        return ["no docstring of its own"]
    if text.startswith(f"{thing.__name__}("):
        return ["the docstring that a dataclass was given says nothing"]
    silent = [f"the parameter {word}" for word in parameters(thing) if not is_named(word, text)]
    return silent + [f"the errors of {name}" for name in raising(thing) if "aises" not in text]


def test_help_explains_arguments_and_errors():
    assert {name: out for name, thing in (THINGS | METHODS).items() if (out := unexplained(thing))} == {}


def test_the_walk_finds_what_it_should():
    """And a check that cannot fail is none: each of its parts finds what is wrong here."""
    assert {"nn.Conv2d", "nn.tensor", "nn.zeros", "nn.functional.interpolate", "compress.Prune",
            "nn.train.fit", "nn.kernels.gemm", "nn.optim.Adam", "nn.init.zeros_"} <= THINGS.keys()
    assert len(THINGS) > 200
    assert len(METHODS) > 80

    class Silent:
        """Takes width."""

        def __init__(self, width, depth):
            pass

        validation_split = nn.data.Digits.validation_split

    assert parameters(Silent) == ["width", "depth"]
    assert is_named("width", documentation(Silent))
    assert not is_named("depth", documentation(Silent))
    assert not list(raising(Silent))
    before, Silent.validation_split.__doc__ = Silent.validation_split.__doc__, "The training part."
    try:
        assert list(raising(Silent)) == ["validation_split"]
    finally:
        Silent.validation_split.__doc__ = before
