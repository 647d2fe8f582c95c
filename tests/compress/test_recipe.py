"""Which weight gets which transforms: the most specific choice, ties and misfits refused."""

import pytest

import nn
from compress import Chain, Prune, Quantize, Recipe


class Small(nn.Linear):
    """A layer class of one's own."""


def model():
    return nn.Sequential(
        {
            "stem": nn.Conv2d(1, 2, 3),
            "body": nn.Sequential(nn.Linear(4, 4), Small(4, 4)),
            "head": nn.Linear(4, 2),
        }
    )


def chosen(choices):
    return {name: chain.stages for name, chain in Recipe(choices).chains(model()).items()}


A, B, C, D = Prune(0.1), Prune(0.2), Prune(0.3), Quantize()


def test_one_transform_is_for_all_layers():
    assert chosen(D) == dict.fromkeys(["stem", "body.0", "body.1", "head"], (D,))


def test_a_list_or_a_chain_is_one_choice():
    assert (
        chosen([A, D]) == chosen(Chain([A, D])) == dict.fromkeys(["stem", "body.0", "body.1", "head"], (A, D))
    )


def test_a_name_before_a_pattern_before_a_class():
    assert chosen({nn.Linear: A, "body.*": B, "body.1": C}) == {"body.0": (B,), "body.1": (C,), "head": (A,)}


def test_a_longer_pattern_before_a_shorter_one_and_a_class_before_its_base():
    assert chosen({"*": A, "body.*": B}) == {"stem": (A,), "head": (A,), "body.0": (B,), "body.1": (B,)}
    assert chosen({nn.Linear: A, Small: B}) == {"body.0": (A,), "body.1": (B,), "head": (A,)}
    assert chosen({nn.Module: A, nn.Conv2d: B})["stem"] == (B,)


def test_none_leaves_a_layer_alone():
    assert set(chosen({"*": A, "stem": None, "body.*": None})) == {"head"}


def test_the_order_of_the_choices_does_not_matter():
    choices = {"*": A, "body.*": B, "body.1": C, nn.Conv2d: D}
    assert chosen(choices) == chosen(dict(reversed(choices.items())))


def test_equally_specific_choices_are_an_error():
    choices = {"body.*": A, "*ody.0": B}  # five literal characters each
    with pytest.raises(ValueError, match=r"'body\.0' fits 'body\.\*' and '\*ody\.0' equally well; name it"):
        chosen(choices)
    assert chosen({**choices, "body.0": C})["body.0"] == (C,)


def test_a_key_that_fits_no_layer_is_an_error_that_lists_them():
    with pytest.raises(ValueError, match=r"'conv\*' fits no layer.*\['body\.0', 'body\.1', 'head', 'stem'\]"):
        chosen({"conv*": A})
    with pytest.raises(ValueError, match="fits no layer"):
        chosen({"body": A})  # a module, but without a weight of its own
    with pytest.raises(ValueError, match="fits no layer"):
        chosen({nn.ReLU: A})


@pytest.mark.parametrize("key", [1, None, int, ("stem",)], ids=str)
def test_a_key_must_be_a_name_or_a_layer_class(key):
    with pytest.raises(TypeError, match="a key is a module name, a pattern or a layer class"):
        Recipe({key: A})


@pytest.mark.parametrize("value", [0.9, "prune", Prune, object()])
def test_a_choice_must_be_a_transform(value):
    with pytest.raises(TypeError, match="a choice is a transform"):
        Recipe({"*": value})


@pytest.mark.parametrize("value", [[A, "quantize"], [Prune], (None,)], ids=["text", "class", "none"])
def test_a_list_must_hold_transforms(value):
    with pytest.raises(TypeError, match="is no transform"):
        Recipe({"*": value})


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match="at least one transform"):
        Recipe([])


def test_it_prints_its_choices():
    assert "Prune(sparsity=0.1" in repr(Recipe({"head": A}))
