"""A run that can be killed, for test_resume: python killed.py CHECKPOINT OUT EVERY [WHERE COUNT]

Trains a network that has all there is to resume (dropout, batch norm, a pruned and quantized weight, Adam, a
schedule), with a checkpoint every EVERY steps, and writes the end into OUT. WHERE and COUNT: kill -9 at the
COUNT-th call of a function of the module os, before it does anything.
"""

import os
import signal
import sys

import numpy as np

import compress
import nn


def network():
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(6, 12, rng=rng), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 3, rng=rng)
    )
    compress.prepare(model, [compress.Prune(0.7, compress.Cubic(end=30, every=2)), compress.Quantize()])
    return model


def data():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(100, 6)).astype(np.float32)
    return x, (x[:, :3].argmax(1)).astype(np.int64)


def train(checkpoint=None, every=1, **changes):
    """The run; returns everything at its end as {name: array}."""
    nn.manual_seed(2)
    model = changes.pop("model", None) or network()
    x, y = data()
    settings = {
        "epochs": 6, "batch_size": 16, "schedule": nn.train.cosine, "progress": False, "x": x, "y": y,
        "optimizer": nn.optim.Adam(model.parameters(), 0.02, weight_decay=1e-3),
        "rng": np.random.default_rng(3), **changes,
    }  # fmt: skip
    log = nn.train.fit(model, checkpoint=checkpoint, every=every, **settings)
    return {
        **model.state_dict(),
        **{f"optimizer {name}": value for name, value in settings["optimizer"].state_dict().items()},
        **{f"known {name} {key}": value for name, p in model.named_parameters()
            if p.parametrization is not None for key, value in p.parametrization.state_arrays().items()},
        "log": np.array(log), "rng": settings["rng"].random(4),
        "nn.random": nn.random.generator().random(4),
    }    # fmt: skip


def kill_at(where, count):
    """Let the count-th call of os.<where> be the last thing this process does."""
    original, left = getattr(os, where), [count]

    def last(*args, **kwargs):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(os, where, last)


if __name__ == "__main__":
    path, out, every, *where = sys.argv[1:]
    if where:
        kill_at(where[0], int(where[1]))
    print("ready", flush=True)
    nn.save(train(path, int(every)), out)
