"""Ctrl-C at any line: modes come back, nothing stays traced or unrecorded, and no thread stays behind."""

import sys
import threading

import numpy as np
import pytest

import compress
import nn
from nn.context import DEFAULTS, ambient

X, Y = np.random.default_rng(0).random((12, 1, 8, 8), np.float32), np.arange(12) % 10
OURS = "/nn/", "/compress/", "contextlib.py"


def network():
    rng = np.random.default_rng(1)
    model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=rng), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.1),
                          nn.Flatten(), nn.Linear(72, 10, rng=rng))
    model[1].eval()    # modes that differ
    return model


def interrupted(action, at):
    """Run it, and raise KeyboardInterrupt at the at-th line, call or return of ours: the error, or None."""
    left = at

    def count(frame, event, argument):
        nonlocal left
        if not any(ours in frame.f_code.co_filename for ours in OURS):
            return None
        left -= 1
        if left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        action()
    except KeyboardInterrupt as error:
        return error    # with its traceback, which keeps all frames alive
    finally:
        sys.settrace(before)
    return None


def fit(model, **how):
    nn.train.fit(model, X, Y, epochs=1, optimizer=nn.optim.SGD(model.parameters(), lr=0.1),
                 rng=np.random.default_rng(0), batch_size=6, progress=False, **how)


def augmented(x, y, rng):
    return x + 0.0, y


ACTIONS = {
    "trace": lambda model: nn.trace(model, X[:1]),
    "convert": lambda model: compress.convert(model, X[:2]),
    "accuracy": lambda model: nn.train.accuracy(model, X, Y),
    "prepare": lambda model: compress.prepare(model, {"5": compress.Quantize()}, X[:4]),
    "fit": fit,
    "prefetching fit": lambda model: fit(model, prefetch=1, augment=augmented),
    "update_bn": lambda model: nn.optim.update_bn(model, X),
    "checkpoint": lambda model: nn.checkpoint(model, nn.Tensor(X)).sum().backward(),
    "jvp": lambda model: nn.jvp(lambda x: model(x).sum(), X, X),
}


def points(action, rng):
    """Where to interrupt it: at the first and the last lines, at some between, and on the way into blocks and
    out of them, where there is most to break."""
    model, seen, blocks = network(), 0, []

    def count(frame, event, argument):
        nonlocal seen
        if not any(ours in frame.f_code.co_filename for ours in OURS):
            return None
        seen += 1
        if frame.f_code.co_name in ("__enter__", "__exit__"):
            blocks.append(seen)
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        action(model)
    finally:
        sys.settrace(before)
    return sorted({*range(1, 10), *rng.integers(1, seen + 1, 20).tolist(),
                   *rng.choice(blocks or [1], 20).tolist(), *range(max(1, seen - 30), seen + 1)})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")    # what comes in a finaliser
@pytest.mark.parametrize("name", ACTIONS)
def test_a_model_that_is_interrupted_anywhere_is_as_it_was(name):
    action, errstate = ACTIONS[name], np.geterr()
    for at in points(action, np.random.default_rng()):
        model = network()
        modes = [module.training for _, module in model.named_modules()]
        error = interrupted(lambda model=model: action(model), at)
        assert [module.training for _, module in model.named_modules()] == modes, at
        assert model[1].momentum == 0.1, at
        assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"], at
        if name == "prepare" and error is not None:    # all of it or nothing
            views = {
                model.parametrization is None, model[5].weight.parametrization is None,
                not hasattr(model, "prepared")
            }
            assert len(views) == 1, at
        if name in ("trace", "convert", "accuracy", "fit", "prefetching fit", "update_bn"):
            assert np.geterr() == errstate, at
        else:
            np.seterr(**errstate)
        if name in ("trace", "convert", "accuracy", "update_bn"):
            assert [getattr(ambient.context, slot) for slot in DEFAULTS] == [*DEFAULTS.values()], at
        del error    # and with the traceback goes what is left
        assert [getattr(ambient.context, slot) for slot in DEFAULTS] == [*DEFAULTS.values()], at
        assert ambient.context.blocks == [], at
