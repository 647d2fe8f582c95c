"""Messages over a socket between a hand-in's process and the one that judges it.

A message is the length, eight bytes, and a packed tuple (wire.py) of which the first item says what it is:

    to the hand-in:   ("constant", name)   ("call", name, how many arguments have no name, {argument: packed})
                      ("value", packed)   ("error", exception's name, text)       as answers to "back"
    from it:          ("ready",)   ("missing",)   ("no function", type)
                      ("return", packed, changed arguments)   ("raised", exception's name, text, lines)
                      ("refused", why what it returned can't be sent)   ("back", k, packed arguments, named)

What comes from the hand-in begins with a nonce that only its own runtime was told, so that bytes which
something else writes there are noticed. It is no secret from code in the same process; there is nothing to
gain by it either, for a message can only say what a function returned, and that is judged by properties."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from . import wire

LARGEST = 1 << 26  # bytes of a message


class Closed(ConnectionError):
    """The other side is gone."""


class Connection:
    """One end. `wait` is called again and again while nothing comes; it may raise to end that."""

    def __init__(self, end: socket.socket, wait: Callable[[], None] | None = None):
        self.end, self.wait = end, wait
        self.sends = self.expects = b""  # the nonce, where there is one
        if wait is not None:
            end.setblocking(False)

    def send(self, *message: Any) -> None:
        """Send a message. Raises Closed, and WireError for one that is too large."""
        content = self.sends + wire.pack(message)
        if len(content) > LARGEST:
            raise wire.WireError(f"{len(content):,} bytes, more than the {LARGEST:,} that may be sent")
        rest = memoryview(struct.pack("<Q", len(content)) + content)
        while rest:
            try:
                rest = rest[self.end.send(rest):]
            except BlockingIOError:
                self.wait()
            except OSError as error:
                raise Closed(str(error)) from None

    def receive(self) -> tuple:
        """The next message. Raises Closed, and WireError for what is none."""
        (size,) = struct.unpack("<Q", self._bytes(8))
        if size > LARGEST:
            raise wire.WireError("no message: it is too large")
        content = self._bytes(size)
        if not content.startswith(self.expects):
            raise wire.WireError("no message: something else was written")
        message = wire.unpack(content[len(self.expects):])
        if not isinstance(message, tuple) or not message or not isinstance(message[0], str):
            raise wire.WireError("no message: it does not say what it is")
        return message

    def _bytes(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self.end.recv(min(size - len(parts), 1 << 20))
            except BlockingIOError:
                self.wait()
                continue
            except OSError as error:
                raise Closed(str(error)) from None
            if not part:
                raise Closed("the other end is closed")
            parts += part
        return bytes(parts)
