"""A worker: a process that runs functions, one after the other, and sends back what they return or raise."""

import os
import pickle
import traceback
from typing import Any

from .processes import inbox

TICK, DONE, FAILED = range(3)  # what an answer is


def main() -> None:
    """Serve until standard input ends. A task is a pickled (function, arguments); the function is also given
    `tick`, which sends a number on ahead."""
    import nn

    nn.memory.keep_freed()  # as fit does, so that all times are taken alike
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a task prints must not mix with the answers

    def send(kind: int, value: Any) -> None:
        answers.write(pickle.dumps((kind, value)))
        answers.flush()

    while True:
        task = inbox.get()
        try:
            function, arguments = pickle.loads(task)
            answer = DONE, function(*arguments, lambda epochs: send(TICK, epochs))
        except Exception as error:
            answer = FAILED, (error, traceback.format_exc())
        try:
            send(*answer)
        except (pickle.PicklingError, TypeError, AttributeError) as error:  # an exception may hold anything
            send(FAILED, (RuntimeError(f"{answer[1]}: {error}"), traceback.format_exc()))
