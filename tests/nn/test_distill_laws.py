"""The laws of distillation hold, and each fails where it must: on a way with a planted mistake."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.nn.distill_laws import LAWS, Case, Way
from tests.nn.mutants_distill import MUTANTS


@st.composite
def cases(draw):
    """Logits of 1 to 4 examples and 2 to 6 classes, between −6 and 6, not all 0, and a temperature."""
    n, c, seed = draw(st.integers(1, 4)), draw(st.integers(2, 6)), draw(st.integers(0, 2**32 - 1))
    spread = draw(st.sampled_from([0.1, 1.0, 6.0]))
    logits = np.random.default_rng(seed).uniform(-spread, spread, (3, n, c))
    return Case(logits[0], logits[1:], draw(st.sampled_from([0.25, 1.0, 2.0, 4.0, 20.0])), seed)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(case=cases())
def test_a_law_holds(law, case):
    law(Way(), case)


@pytest.mark.parametrize(("law", "way", "name"), MUTANTS,
                         ids=[f"{law.__name__}-{name}" for law, _, name in MUTANTS])
def test_law_kills(law, way, name):
    @settings(max_examples=60, derandomize=True, database=None)
    @given(cases())
    def holds(case):
        law(way, case)

    with np.errstate(all="ignore"), pytest.raises((AssertionError, ValueError)):  # targets that are NaN
        holds()


def test_every_law_has_a_mutant():
    assert {law for law, *_ in MUTANTS} == set(LAWS)
