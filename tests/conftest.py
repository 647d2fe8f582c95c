"""Hypothesis profiles. The default draws the same few examples everywhere, brief fewer; the long one hunts:

    python -m pytest tests/nn/kernels --hypothesis-profile=long
"""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "fast", max_examples=20, derandomize=True, database=None, deadline=None, print_blob=False,
    report_multiple_bugs=False, phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck))
settings.register_profile("brief", settings.get_profile("fast"), max_examples=8)
settings.register_profile("long", settings.get_profile("fast"), max_examples=1000, derandomize=False)
settings.load_profile("fast")
