"""Every law on every transform, alone and in chains: all of them on each case."""

import numpy as np
import pytest

import compress
from compress.testing import Subject, check, holds, laws_for, subjects
from compress.testing.weights import STYLES, weights
from nn.testing.case import for_all
from nn.testing.laws import all_of

CHAINS = (
    [compress.Prune(0.7), compress.Quantize()],
    [compress.Quantize(), compress.Prune(0.7)],
    [compress.Prune(0.5), compress.GPTQ(bits=3)],
    [compress.Prune(0.4), compress.Prune(0.6, compress.Cubic(end=3)), compress.Quantize()],
    [compress.Prune(0.8), compress.Cluster(2)],
    [compress.Prune(0.8), compress.Cluster(3, activations="int8-dynamic")],
    [compress.Prune(0.7, compress.Cubic(end=3)), compress.Cluster(3)],
)
SUBJECTS = [*subjects(), *map(Subject.of, CHAINS)]  # every technique, by being defined; and some chains


def test_every_technique_says_what_the_laws_are_to_hold_on():
    techniques = {getattr(compress, name) for name in compress.techniques.__all__}
    assert techniques <= {type(stage) for subject in subjects() for stage in subject.stages}


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_laws_hold(subject):
    holds(all_of(laws_for(subject)), subject)


def test_check_passes_what_is_right_and_counts_it():
    report = check(compress.Quantize(), examples=3)
    assert report
    laws = laws_for(Subject.of(compress.Quantize()))
    assert str(report) == f"Quantize(bits=8): {len(laws)} laws hold, 0 broken"


def test_check_takes_a_chain():
    assert check(compress.Chain([compress.Prune(0.5), compress.Quantize()]), examples=2)


@pytest.mark.parametrize("wrong", [3, "prune", compress.Prune, [compress.Prune(0.5), None]])
def test_check_refuses_what_is_no_transform(wrong):
    with pytest.raises(TypeError, match="no transform"):
        check(wrong, examples=1)


def test_drawn_weights_are_float32_of_both_ranks_never_empty_and_of_every_style():
    ranks, sizes = set(), set()

    def look(case):
        (w,) = case.args
        assert w.dtype == np.float32
        assert w.size
        assert np.isfinite(w).all()
        ranks.add(w.ndim)
        sizes.update(w.shape)

    for style in STYLES:
        for_all(weights((style,)), look, examples=20)
    assert ranks == {2, 4}
    assert {1, 2, 16, 17} <= sizes
