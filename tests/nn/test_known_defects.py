"""Defects found in other libraries of automatic differentiation: each is a regression test here, and this is
where. What no other file tests is tested below."""

import ast
from pathlib import Path

import numpy as np
import pytest

import nn
from nn import functional as F
from nn.rules import RULES, Rule

TESTS = Path(__file__).parents[1]

DEFECTS = {
    "the gradient checker compares the forward pass twice and gradients never": [
        "nn/test_gradcheck.py::test_a_changed_gradient_is_found",
    ],
    "backward walks every path, not every node: y = y + y, n times, costs 2ⁿ": [
        "nn/test_engine.py::test_doubling_sixty_times_is_sixty_steps",
    ],
    "a node freed at its first visit loses the gradient of every branch but one": [
        "nn/test_engine.py::test_a_value_used_in_two_branches_gets_both_gradients",
    ],
    "the graph is kept until the whole walk is over": [
        "nn/test_engine.py::test_memory_falls_while_backward_runs",
    ],
    "the backward of a sum over an axis ignores the axis": [
        "nn/test_rules.py::test_gradcheck",
        "nn/test_functions_recorded.py::test_outputs_and_gradients_are_pytorchs",
    ],
    "indexing sends no gradient back": [
        "nn/test_tensor.py::test_basic_indexing_and_its_gradient",
        "nn/test_tensor.py::test_repeated_indices_accumulate",
    ],
    "a second backward neither adds up nor starts afresh": [
        "nn/test_engine.py::test_a_second_backward_raises_and_names_the_operation",
        "nn/test_engine.py::test_retain_graph_allows_it",
    ],
    "a deep graph exceeds the depth of recursion": [
        "nn/test_engine.py::test_ten_thousand_operations_are_linear_and_do_not_recurse",
        "nn/test_engine.py::test_a_deep_graph_is_freed_without_recursion",
    ],
    "a saved array, overwritten, gives wrong gradients without a word": [
        "nn/test_writes.py::test_an_array_that_backward_needs_was_overwritten",
        "nn/test_writes.py::test_an_optimizer_step_between_forward_and_backward_is_found",
    ],
    "after s = a + b, a.grad and b.grad are one array": [
        "nn/test_engine.py::test_no_two_gradients_share_memory_nor_do_they_alias_the_seed_or_an_input",
    ],
    "batch norm in evaluation mode has no backward": [
        "nn/test_functional.py::test_evaluation_leaves_the_running_statistics_alone_and_has_a_backward",
    ],
    "tests with a constant cotangent (y.sum()) pass whatever softmax's backward is": [
        "nn/test_gradcheck.py::test_a_classical_mistake_is_found",
        "nn/test_rules.py::test_backward_is_linear_in_the_cotangent",
    ],
    "the tolerance is so wide that nothing can fail": [
        "nn/test_gradcheck.py::test_a_changed_gradient_is_found",
    ],
    "the gradient checker tries one entry, at random": [
        "nn/test_known_defects.py::test_a_gradient_wrong_in_any_single_entry_is_found",
    ],
    "a gradient is set where it should be added": [
        "nn/test_engine.py::test_gradients_accumulate_over_calls",
    ],
    "an operation is defined twice, and the second, worse one is what runs": [
        "nn/test_known_defects.py::test_function_method_and_module_are_one_rule",
        "nn/test_known_defects.py::test_no_name_is_defined_twice",
    ],
    "backward changes weights; validation trains; the mean's gradient is not divided by n": [
        "nn/test_known_defects.py::test_backward_changes_no_weight_and_the_mean_is_a_mean",
        "nn/test_train.py::test_modes_come_back_as_they_were",
    ],
    "a convolution's backward does not know dilation": [
        "nn/test_functional.py::test_convolution_and_its_input_gradient_are_adjoint",
        "nn/test_functions_recorded.py::test_outputs_and_gradients_are_pytorchs",
    ],
    "checkpointing leaks, and draws other random numbers the second time": [
        "nn/test_recompute_again.py::test_no_reference_cycles_and_everything_is_freed_without_the_collector",
        "nn/test_recompute_again.py::test_dropout_is_replayed_and_the_generator_goes_on_as_if_nothing_had_been_drawn",
    ],
    "tests of memory and complexity exist, but under names that are never collected": [
        "nn/test_known_defects.py::test_every_test_is_collected",
    ],
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_has_its_regression_test(defect):
    for place in DEFECTS[defect]:
        path, _, name = place.partition("::")
        tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place


def test_there_are_twenty():
    assert len(DEFECTS) == 20


@pytest.mark.parametrize("at", list(np.ndindex(3, 4)))
def test_a_gradient_wrong_in_any_single_entry_is_found(at):
    rule = RULES["tanh"]

    def vjp(g, saved, needs):
        (dx,) = rule.vjp(g, saved, needs)
        if dx.shape == (3, 4):
            dx[at] += 1e-3
        return (dx,)

    wrong = Rule("wrong", rule.formula, rule.forward, vjp, samples=rule.samples)
    with pytest.raises(nn.GradcheckError, match=rf"worst at \[{at[0]}, {at[1]}\]"):
        nn.gradcheck(wrong)


def test_function_method_and_module_are_one_rule():
    x = np.array([-1000.0, -3.0, 0.0, 0.5, 1000.0])
    for name, module in (("tanh", nn.Tanh()), ("sigmoid", nn.Sigmoid()), ("relu", nn.ReLU()),
                         ("softmax", nn.Softmax(-1)), ("log_softmax", nn.LogSoftmax(-1)),
                         ("logsigmoid", nn.LogSigmoid())):  # fmt: skip
        arguments = (-1,) if "softmax" in name else ()
        tensors = [nn.Tensor(x, requires_grad=True) for _ in range(3)]
        method, function, layer = (
            getattr(tensors[0], name)(*arguments),
            getattr(F, name)(tensors[1], *arguments),
            module(tensors[2]),
        )
        assert method._operation.rule is function._operation.rule is layer._operation.rule
        assert np.isfinite(method.data).all()
        np.testing.assert_array_equal(method.data, function.data)
        np.testing.assert_array_equal(method.data, layer.data)


def test_no_name_is_defined_twice():
    """In one module or class of the package, a function or class of one name."""
    for path in [*(TESTS.parent / "nn").rglob("*.py")]:
        for scope in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(scope, (ast.Module, ast.ClassDef)):
                names = [
                    node.name
                    for node in scope.body
                    if isinstance(node, (ast.FunctionDef, ast.ClassDef))
                    and not any("setter" in ast.unparse(d) for d in node.decorator_list)
                ]
                assert len(names) == len(set(names)), path


def test_backward_changes_no_weight_and_the_mean_is_a_mean():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    rng = np.random.default_rng(0)
    x, classes = rng.normal(size=(6, 3)).astype(np.float32), np.array([0, 1, 1, 0, 1, 0])
    loss = F.cross_entropy(model(x), classes)
    before = model.state_dict()
    loss.backward()
    after = model.state_dict()
    assert all((before[name] == after[name]).all() for name in before)
    once = model[3].weight.grad
    model.zero_grad()
    F.cross_entropy(model.train()(np.concatenate([x, x])), np.concatenate([classes, classes])).backward()
    np.testing.assert_allclose(model[3].weight.grad, once, rtol=1e-4, atol=1e-6)


def test_every_test_is_collected():
    """What is called a test is in a file that pytest reads, and has a name that it takes."""
    for path in TESTS.rglob("*.py"):
        functions = [
            node.name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        ]
        tests = [name for name in functions if name.startswith("test_")]
        assert not tests or path.name.startswith("test_"), path
        assert not [name for name in functions if name.startswith("_test")], path
        assert len(tests) == len(set(tests)), path
