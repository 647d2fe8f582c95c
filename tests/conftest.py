"""Hypothesis profiles, and which tests are long.

The default profile draws the same few examples everywhere, brief fewer. That of continuous integration draws
more, and runs what is marked as long; the long one hunts:

    python -m pytest -n auto --hypothesis-profile=ci
    python -m pytest -n auto --hypothesis-profile=long tests/nn/kernels
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

os.environ.pop("COLUMNS", None)    # pytest-xdist gives its processes 80; what is printed is to be whole

settings.register_profile(
    "fast", max_examples=10, derandomize=True, database=None, deadline=None, print_blob=False,
    report_multiple_bugs=False, phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck))
settings.register_profile("brief", settings.get_profile("fast"), max_examples=8)
settings.register_profile("ci", settings.get_profile("fast"), max_examples=30)
settings.register_profile("long", settings.get_profile("fast"), max_examples=1000, derandomize=False)
settings.load_profile("fast")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: run by the profiles ci and long only")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--hypothesis-profile", None) in ("ci", "long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: run it with --hypothesis-profile=ci"))
