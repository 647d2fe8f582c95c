"""Hypothesis profiles, and which tests are long: as nn/testing/plugin.py has them for everybody.

The default profile draws the same few examples everywhere, brief fewer. That of continuous integration draws
more, and runs what is marked as long; the long one hunts:

    python -m pytest -n auto --hypothesis-profile=ci
    python -m pytest -n auto --hypothesis-profile=long tests/nn/kernels
"""

import os

os.environ.pop("COLUMNS", None)    # pytest-xdist gives its processes 80; what is printed is to be whole

pytest_plugins = ["nn.testing.plugin"]
