"""What runs in the process of a hand-in: it loads the file, calls its functions when asked, and answers.

Nothing here decides anything. A hand-in may change all of it, for itself alone."""

from __future__ import annotations

import builtins
import socket
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import sandbox, wire
from .assignment import load
from .connection import Closed, Connection
from .failures import lines_of
from .proxy import Sent, changed


def serve(descriptor: int) -> None:
    """Answer what comes over the socket of this descriptor, until it is closed."""
    connection = Connection(socket.socket(fileno=descriptor))
    _, nonce, file, adapter, memory, places = connection.receive()
    connection.sends = nonce
    module = load(adapter, "espalier_adapter") if adapter else None
    if module is not None and hasattr(module, "prepare"):
        sandbox.enclose(memory, *places, processes=True)  # an #include of the solution finds none
        module.prepare(file)  # such as a compiler's run, which needs processes
    sandbox.enclose(memory, *places)
    runtime = _Runtime(connection, file)
    if runtime.attempt("the file", lambda: runtime.load(module)):
        connection.send("ready")
    try:
        while True:
            runtime.answer(connection.receive())
    except Closed:
        return


class _Runtime:
    def __init__(self, connection: Connection, file: str):
        self.connection, self.file, self.module = connection, file, None

    def load(self, module: ModuleType | None) -> bool:
        """Import the hand-in, or take the adapter's module for it."""
        name = self.file.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
        self.module = module or load(self.file, name)
        return True

    def attempt(self, name: str, action: Callable[[], Any]) -> Any:
        """What the action returns; None if it raised, which is sent."""
        try:
            return action()
        except Closed:
            raise
        except BaseException as error:
            text, lines = _said(error), lines_of(error.__traceback__, self.file)
            if isinstance(error, SyntaxError) and error.filename == self.file:
                text, lines = error.msg, [f"line {error.lineno}: {(error.text or '').strip()}"]
            self.connection.send("raised", type(error).__name__, text, lines[-20:])
        return None

    def answer(self, message: tuple) -> None:
        """Do what a message asks for."""
        kind, name, *rest = message
        if kind == "call":
            self.attempt(name, lambda: self.call(name, *rest))
        elif kind == "constant":
            self.attempt(name, lambda: self.constant(name))

    def constant(self, name: str) -> None:
        """Send what the hand-in has under this name."""
        if not hasattr(self.module, name):
            return self.connection.send("missing")
        return self.returned(getattr(self.module, name), ())

    def returned(self, value: Any, changed: tuple[int | str, ...]) -> None:
        """Send a value, or why it can't be sent."""
        try:
            self.connection.send("return", wire.pack(value), changed)
        except wire.WireError as error:
            self.connection.send("refused", str(error))

    def call(self, name: str, plain: int, sent: Sent) -> None:
        """Call a function of the hand-in and send what it returns."""
        function = getattr(self.module, name, None)
        if function is None:
            return self.connection.send("missing")
        if not callable(function):
            return self.connection.send("no function", type(function).__name__)
        values = {key: wire.unpack(content, self.back) for key, (content, _) in sent.items()}
        args = [values[i] for i in range(plain)]
        named = {key: value for key, value in values.items() if isinstance(key, str)}
        return self.returned(function(*args, **named), changed(sent, values))

    def back(self, k: int) -> Callable:
        """The k-th function that the property has sent along: it is called where the property is."""
        def function(*args: Any, **kwargs: Any) -> Any:
            self.connection.send("back", k, wire.pack(args), wire.pack(kwargs))
            while True:
                kind, *rest = self.connection.receive()
                if kind == "value":
                    return wire.unpack(rest[0], self.back)
                if kind == "error":
                    raise _exception(*rest)
                self.answer((kind, *rest))

        return function


def _said(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except BaseException:  # its __str__ is the hand-in's
        return "(its text can't be shown)"


def _exception(kind: str, text: str) -> Exception:
    """An exception of that name, if it is one of Python's own."""
    known = getattr(builtins, kind, None)
    fits = isinstance(known, type) and issubclass(known, Exception)
    try:
        return known(text) if fits else RuntimeError(f"{kind}: {text}")
    except TypeError:  # as UnicodeDecodeError, which wants more
        return RuntimeError(f"{kind}: {text}")
