"""Profiles of Hypothesis: how many examples a property is tried on.

All but "long" draw the same examples on every machine, so that a test fails for everyone or for nobody; none
keeps a database of failures, and none has a deadline, since a busy machine is no mistake.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

PROFILES = {"brief": 4, "default": 5, "ci": 30, "grading": 40, "long": 1000}  # name -> examples a property

for _name, _examples in PROFILES.items():
    settings.register_profile(
        _name, max_examples=_examples, derandomize=_name != "long", database=None, deadline=None,
        print_blob=False, report_multiple_bugs=False, phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck))


def load_profile(name: str) -> None:
    """Draw as many examples as the profile of this name says: "brief" for a first look, "default", "ci",
    "grading", or "long", which draws others each time, to hunt.

    Raises ValueError for a name that is not in PROFILES.
    """
    if name not in PROFILES:
        raise ValueError(f"load_profile: {name!r} is none of {', '.join(PROFILES)}")
    settings.load_profile(name)
