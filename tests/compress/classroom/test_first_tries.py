"""What a student reads after a typical mistake: what was found and what was wanted, in the task's words."""

import pytest

from compress.classroom import marks
from compress.classroom.assignment import assignments
from compress.classroom.graded import check
from compress.classroom.mutation import in_process

TRIES = [
    ("pruning", "a threshold keeps all that are equal to it", "prunes_exactly",
     "weights [-0.0, -0.0] at sparsity 0.333: 0 are pruned, not 1"),
    ("pruning", "only the gradient is masked: momentum moves a pruned weight", "zeros_survive_adam",
     "in step 1 after pruning, w of a pruned weight is set to"),
    ("pruning", "before the beginning the cubic goes on", "schedule_begins_and_ends",
     "from step 0 to 1 the sparsity goes from 0.0 to 1.0; at step -1 it is -7.0, not 0.0"),
    ("sharing", "an empty cluster is divided by zero", "centroids_are_means",
     "moved: there are NaN or infinite numbers in it"),
    ("sharing", "the mean of the gradients", "gradient_is_the_sum_over_members",
     "its members' gradients are ["),
    ("sharing", "the highest bit first", "packs_without_gaps",
     "are packed as ['10000000'], not ['00000001']"),
    ("factoring", "all of eps is spent on every cut", "error_is_within_eps", "of its norm where eps is"),
    ("factoring", "the halves are forgotten", "matrices_are_those_of_a_filter",
     "in output y0 the product d2·g0 is there 1 times, not 0"),
    ("factoring", "products go around multiply", "four_multiplications_are_enough",
     "the outputs are right, but their products did not go through multiply"),
    ("testing", "y must be the rounded exact value", "finds_lost_edges",
     "check rejects a kernel that is right: it rounds to float32 after every operation"),
    ("testing", "short sums only", "finds_overflow",
     "check finds nothing wrong with a kernel that adds up in 24 bits, which wrap around"),
    ("testing", "ldb is not what the buffer was made for", "finds_a_wrong_sign",
     "kernel: ldb is from n to 4096; got m = 1, n = 1, k = 1, lda = 4, ldb = 0"),
    ("testing", "buffers that are too short", "finds_a_wrong_sign", "defect raised IndexError: index"),
    ("coding", "zeros stand before the number, not behind", "codewords_are_canonical",
     "lengths [2, 1, 3, 3]: the codeword of 0 is 01; before it the sum is 1/2"),
    ("coding", "what is there is returned when the bytes end", "every_cut_is_an_error",
     "of which 12 bytes are left: read must raise ValueError; it returned [] (list)"),
]


@pytest.mark.parametrize(("name", "bug", "prop", "says"), TRIES)
def test_the_message_says_what_is_wrong(name, bug, prop, says):
    assignment = assignments()[name]
    (mistake,) = (one for one in assignment.bugs if one.name == bug)
    (looked_at,) = (one for one in assignment.properties if one.name == prop)
    text = marks.solved_copy(assignment.text).replace(mistake.old, mistake.new)
    with in_process(text, assignment) as student:
        outcome = check(looked_at, student)
    assert not outcome.holds
    assert not outcome.errored
    assert says in outcome.message
