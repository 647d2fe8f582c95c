"""What a coder promises beside the laws of every transform: the same weight, and no more bytes than that
took."""

from nn.testing.case import Case

from ..coding import Coded, Coding
from .subject import Subject, own_laws, same, stored

DESCRIBED = 8  # bytes in the tables, at most, for an array that is not coded: its lengths, and that it is not


def without(subject: Subject) -> Subject:
    """The chain without its coder."""
    return Subject(subject.name, subject.stages[:-1])


def codes_losslessly(subject: Subject, case: Case) -> None:
    """What is read of a coded weight is what the chain without its coder stores, array by array."""
    coded = stored(subject, case)
    if not isinstance(coded, Coded):
        return
    plain = stored(without(subject), case)
    again = type(coded).from_arrays(coded.arrays(), coded.shape)
    if again.held.keys() != plain.arrays().keys():
        raise AssertionError(f"it has {sorted(again.held)}, without a coder {sorted(plain.arrays())}")
    for name, array in plain.arrays().items():
        same(again.held[name], array, f"{name} after it was coded and read")


def codes_only_what_pays(subject: Subject, case: Case) -> None:
    """Payload and indices take no more bytes than they had; all of it no more than that and a description."""
    coded = stored(subject, case)
    if not isinstance(coded, Coded):
        return
    sizes, before = coded.itemised(), coded.uncoded()
    for what in ("payload", "indices"):
        if sizes[what] > before.get(what, 0):
            raise AssertionError(f"{what} takes {sizes[what]} bytes, and not coded {before.get(what, 0)}")
    most = sum(before.values()) + DESCRIBED * len(coded.plain.parts)
    if sum(sizes.values()) > most:
        raise AssertionError(f"it takes {sum(sizes.values())} bytes, wanted at most {most}")


own_laws(Coding, codes_losslessly, codes_only_what_pays, in_chains=True)
