"""Each law fails where it must: transforms with a planted mistake, killed by the law that is for them."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import compress
from compress.testing import Subject, check, holds, laws_for
from nn.tensor import Tensor
from tests.compress.mutants import MUTANTS, OpenQuantize
from tests.compress.mutants_claims import Shrink

for _found in sorted(Path(__file__).parent.glob("mutants_*.py")):
    import_module(f"tests.compress.{_found.stem}")

EXAMPLES = 60
SUBJECTS = (compress.Prune(0.5), compress.Quantize(), compress.GPTQ(), compress.LearnedStep(),
            compress.TensorTrain(rank=1), compress.Cluster(2), compress.RigL(0.5, steps=4, every=1))
LAWS = [law for transform in SUBJECTS for law in laws_for(Subject.of(transform))]


@pytest.mark.parametrize(
    ("law", "mutant", "name"), MUTANTS, ids=[f"{law.__name__}-{name}" for law, _, name in MUTANTS]
)
def test_law_kills(law, mutant, name):
    with pytest.raises(AssertionError, match="for \\(float32"):
        holds(law, Subject.of(mutant), EXAMPLES)


@pytest.mark.parametrize("law", dict.fromkeys(law for law, m, _ in MUTANTS if isinstance(m, OpenQuantize)))
def test_without_their_mistakes_the_mutants_live(law):
    holds(law, Subject.of(OpenQuantize()), EXAMPLES)


def test_what_stores_what_it_shows_lives():
    report = check(Shrink(np.greater), examples=20)
    assert report, str(report)


def test_every_law_has_a_mutant():
    assert {law.__name__ for law, *_ in MUTANTS} == {law.__name__ for law in LAWS}


def test_check_names_the_law_and_the_weight():
    class Doubles(compress.Quantize):
        """Stores twice what was trained."""

        def encode(self, w, state):
            return super().encode(2 * w, state)

    report = check(Doubles(), examples=20)
    assert not report
    assert "stored_equals_seen" in {failure.law for failure in report.failures}
    assert "for (float32(1, 1) = [[" in str(report)


def test_an_unexpected_error_is_a_broken_law_too():
    class Fails(compress.Prune):
        def project(self, w, state):
            return Tensor(np.zeros(3)) * w

    report = check(Fails(0.5), examples=10)
    assert "ValueError" in str(report)
