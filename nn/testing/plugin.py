"""A pytest plugin: profiles, a marker for long tests, and tests that run once for each variant of a kernel.

    python -m pytest -p nn.testing.plugin --hypothesis-profile=ci test_mine.py

or `pytest_plugins = ["nn.testing.plugin"]` in the topmost conftest.py. It is no entry point, which would
import the library in every run of pytest on the machine.

    @pytest.mark.variants("gemm")
    def test_mine(variant):        # gemm runs as this variant until the test ends
        ...
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.errors import InvalidArgument

from ..kernels import all_kernels, isa, use, why_not_c
from ..kernels.native import Variant
from .profiles import PROFILES, load_profile

LONG = ("ci", "long")    # the profiles that run what is marked as long

load_profile("default")


@pytest.hookimpl(tryfirst=True)  # before Hypothesis takes the name of the profile
def pytest_configure(config: pytest.Config) -> None:
    """The markers that tests may have. Raises UsageError for a profile that there is not."""
    name = config.getoption("--hypothesis-profile", None)
    try:
        settings.get_profile(name or "default")
    except InvalidArgument:
        raise pytest.UsageError(f"--hypothesis-profile: {name!r} is none of {', '.join(PROFILES)}") from None
    config.addinivalue_line("markers", f"long: run by the profiles {' and '.join(LONG)} only")
    config.addinivalue_line("markers", "variants(name, ...): run once for each variant that can run here of "
                                       "these kernels; it is forced, and is the argument `variant`")


def pytest_report_header(config: pytest.Config) -> str:
    """What the kernels run on, and how many examples are drawn."""
    runs = f"C ({isa()})" if why_not_c() is None else "NumPy"
    profile = config.getoption("--hypothesis-profile", None) or "default"
    return f"nn.testing: kernels in {runs}, profile {profile}: {settings().max_examples} examples a property"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each variant of the kernels that the marker `variants` names."""
    marker = metafunc.definition.get_closest_marker("variants")
    if marker is None:
        return
    test = metafunc.definition.name
    if "variant" not in metafunc.fixturenames:
        pytest.fail(f"{test}: marked with variants, it needs an argument `variant`", pytrace=False)
    known = {kernel.name: kernel for kernel in all_kernels()}
    if not marker.args or not known.keys() >= {*marker.args}:
        pytest.fail(f"{test}: variants wants names of kernels, got {marker.args}; there are "
                    f"{', '.join(known)}", pytrace=False)
    each = [variant for name in marker.args for variant in known[name].variants()]
    metafunc.parametrize("variant", each, ids=[variant.name for variant in each], indirect=True)


@pytest.fixture
def variant(request: pytest.FixtureRequest) -> Iterator[Variant]:
    """The variant that is forced while the test runs."""
    with use(request.param):
        yield request.param


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked as long."""
    if config.getoption("--hypothesis-profile", None) in LONG:
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: run it with --hypothesis-profile=ci"))
