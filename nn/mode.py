"""Whether operations are recorded for backward, and whether they are run again: switches of each thread."""

import functools
import threading


class _Mode(threading.local):
    recording = True
    replaying = False    # nn.checkpoint runs f once more: what f noted down the first time stands


mode = _Mode()


class no_grad:
    """`with no_grad():` records nothing in this thread; `@no_grad()` does the same for a function."""

    def __init__(self):
        self._before = []

    def __enter__(self):
        self._before.append(mode.recording)
        mode.recording = False

    def __exit__(self, *error):
        mode.recording = self._before.pop()

    def __call__(self, function):
        @functools.wraps(function)
        def quiet(*args, **kwargs):
            with no_grad():
                return function(*args, **kwargs)
        return quiet
