"""Wrong versions of adam_step under the law that must kill each, in the form of mutants.py."""

import numpy as np

from nn.kernels import adam_step
from nn.testing import laws_adam
from nn.testing.check import DOMAINS
from tests.nn.kernels.mutants import MUTANTS


def kills(law):
    """Register mutant(step, p, g, m, v, **options), where step is the specification."""
    def register(mutant):
        def wrong(*lists, **options):
            mutant(adam_step.reference, *lists, **options)

        run = DOMAINS["adam_step"].flat(wrong)
        MUTANTS.append((law, adam_step, mutant.__name__, run, None))
        return mutant
    return register


@kills(laws_adam.gives_the_bits_of_the_specification)
def adds_eps_to_the_uncorrected_root(step, p, g, m, v, *, eps, steps, betas=(0.9, 0.999), **options):
    for i, t in enumerate(steps):
        own = ([x[i]] for x in (p, g, m, v))
        step(*own, [t], eps=eps / np.sqrt(1 - betas[1]**t), betas=betas, **options)


@kills(laws_adam.gives_the_bits_of_the_specification)
def computes_in_double(step, p, g, m, v, **options):
    lists = [[x.astype(np.float64) for x in some] for some in (p, g, m, v)]
    step(*lists, **options)
    for some, exact in zip((p, m, v), (lists[0], *lists[2:]), strict=True):
        for x, y in zip(some, exact, strict=True):
            x[...] = y


@kills(laws_adam.leaves_gradients)
def decays_in_the_gradient_itself(step, p, g, m, v, *, weight_decay=0.0, **options):
    for x, y in zip(p, g, strict=True):
        y += np.float32(weight_decay + 1) * x
    step(p, g, m, v, **options)


@kills(laws_adam.steps_each_entry_alone)
def gives_all_tensors_the_first_count(step, p, g, m, v, *, steps, **options):
    step(p, g, m, v, steps=steps[:1] * len(steps), **options)


@kills(laws_adam.steps_each_entry_alone)
def drops_what_is_left_of_a_vector(step, p, g, m, v, **options):
    step(*([x[:x.size // 8 * 8] for x in some] for some in (p, g, m, v)), **options)


@kills(laws_adam.steps_nothing)
def must_have_a_tensor(step, p, g, m, v, **options):
    assert p, "no tensors"
    step(p, g, m, v, **options)


@kills(laws_adam.decays_apart_from_the_gradient)
def decays_without_the_learning_rate(step, p, g, m, v, *, weight_decay=0.0, decoupled=False, **options):
    for x in p if decoupled else ():
        x *= 1 - weight_decay
    step(p, g, m, v, weight_decay=0.0 if decoupled else weight_decay, **options)


@kills(laws_adam.adds_decay_to_the_gradient)
def always_decouples(step, p, g, m, v, *, decoupled=True, **options):
    step(p, g, m, v, decoupled=True, **options)


@kills(laws_adam.ignores_the_scale_of_gradients)
def forgets_the_square(step, p, g, m, v, **options):
    step(p, g, m, v, **options)
    for x, y, z in zip(p, m, v, strict=True):
        x -= np.float32(options["lr"] + 1) * y / (z + np.float32(1))


@kills(laws_adam.keeps_nan_to_itself)
def spreads_nan_over_the_tensor(step, p, g, m, v, **options):
    step(p, g, m, v, **options)
    for some in (p, m, v):
        for x in some:
            x[...] = x if np.isfinite(x).all() else np.nan
