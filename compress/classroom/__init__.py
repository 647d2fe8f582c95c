"""The classroom: assignments that are released to students, and graded by properties, offline.

    espalier release --to handout                    # students' copies: no solution, no hidden test
    espalier grade handins --json results.json       # a folder of hand-ins, or one: Gradescope's results.json
    python -m compress.classroom.mutation integers   # is the grader right?

**An assignment** is a folder in `compress/classroom/assignments`, which a clone of the repository has and an
installed package has not. Its source, `NAME/NAME.py`, is one Python module:

1. The task, as the module's docstring: what it is about, the equation, the paper, what is graded.
2. Functions with docstrings that say what comes in and what is wanted, and a solution between marks:

       def double(x):
           \"""2 * x, for an array of any shape.\"""
           ### BEGIN SOLUTION
           return 2 * x
           ### END SOLUTION

   They take plain values and return plain values: numbers, text, NumPy arrays, lists, tuples and dicts of
   these (wire.py). A student's class is wrapped by functions of the source.
3. Properties, which get the hand-in as `student` and the rest from Hypothesis. Those between `### BEGIN
   HIDDEN TESTS` and `### END HIDDEN TESTS` are not given to students:

       @graded(points=2)
       @given(x=arrays(float, 3, elements=st.integers(-9, 9)))
       def it_doubles(student, x):
           \"""Every number is doubled.\"""
           got = expect.array(student.double(x), "double", shape=x.shape)
           assert (got == 2 * x).all(), f"2 · {x} is {2 * x}; got {got}"

   A property is worth all its points or none. It must not call the functions of its own module, in which the
   solutions are; must not trust a value before `expect` has looked at it; and says in its messages what came
   and what was wanted. A function among the arguments, `student.total(numbers, add)`, runs where the property
   does, so that it can count its calls. After `student.f(x)`, `student.f.changed` says which arguments f has
   written into. `graded(points, examples=30)` says how many examples are drawn, always the same ones.
4. `if __name__ == "__main__": main(__file__)`. A student runs `python NAME.py [PROPERTY...]` and sees points
   and the smallest example of what does not hold.

Beside it lie `bugs.py`, at least ten mistakes that students make, each with the properties that must lose
their points; `second.py` and `third.py`, two more right solutions; for a hand-in that is no Python
`adapter.py` (see `Assignment.adapter`). `mutation.py` grades all of these, a blank copy, and copies that
return constants.

**Grading.** Each hand-in has a process of its own (child.py), which receives arguments and returns values.
What they are worth is decided outside, by code that the hand-in does not reach: printing results, writing a
results file, deleting what it finds, replacing functions of NumPy, pytest or this library, `sys.exit` and
`os._exit` change nothing. A call has 3 seconds of the processor, a property 10, the process 1 GiB; it may not
start others (what it leaves behind is ended), reads no file but Python's, this library's without the
assignments, and its own copy, and signals nobody. That needs Landlock (Linux 5.13, for signals 6.12); without
it the solutions can't be imported but can be read by someone who finds them, and the same user's processes
can be ended. Sockets other than TCP, and whatever else a kernel lets a program do, only a container keeps in:
grade strangers in one, or as another user, as Gradescope does (autograder.py).
"""

from . import expect
from .graded import graded, main

__all__ = ["expect", "graded", "main"]
