"""Run the laws on a transform and report which it breaks, on which weight."""

from collections.abc import Iterable
from typing import Any

from nn.testing.case import for_all
from nn.testing.check import Report

from ..chain import Chain
from .laws import LAWS
from .laws_claims import CLAIM_LAWS
from .laws_state import STATE_LAWS
from .laws_stored import STORED_LAWS
from .subject import Law, Subject, laws_of
from .weights import weights


def laws_for(subject: Subject) -> tuple[Law, ...]:
    """The laws of every transform, and those of its own that the technique of the `subject`'s last stage has.
    """
    return (*LAWS, *STATE_LAWS, *CLAIM_LAWS, *STORED_LAWS, *laws_of(subject))


def holds(law: Law, subject: Subject, examples: int | None = None) -> None:
    """Run one `law` of a `subject` on drawn weights: as many as the Hypothesis profile says, or `examples`.

    Raises AssertionError with what is wrong and the smallest weight found."""
    drawn = weights(dimensions=subject.dimensions).filter(lambda case: subject.takes(*case.args))
    for_all(drawn, lambda case: law(subject, case), examples)


def check(transform: Any, examples: int = 30, laws: Iterable[Law] = ()) -> Report:
    """Check a transform, a list of them or a Chain; the report is true where all laws hold.

    `examples` is the number of weights drawn for each law; `laws` of your own are asked beside those of all
    transforms. Raises TypeError for what is no transform and
    ValueError for an order that Chain refuses."""
    subject = Subject.of(transform)
    Chain(subject.stages)
    report = Report(subject.name)
    for law in (*laws_for(subject), *laws):
        report.run(law.__name__, subject, lambda law=law: holds(law, subject, examples))
    return report
