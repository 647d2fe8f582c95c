"""Grade one hand-in and write Gradescope's results.json: one file that any continuous integration calls.

    python compress/classroom/autograder.py --assignment integers --submission DIR --results results.json

Exit code: 0 all points, 1 some are lost, 2 nothing could be graded (results.json then says why, with zeros).
Defaults are Gradescope's folders. Its zip needs a clone of the repository, `setup.sh` (apt-get install -y
python3-pip gcc; pip install ./espalier[test]) and `run_autograder`:

    #!/bin/sh
    python3 /autograder/source/espalier/compress/classroom/autograder.py --assignment integers || true
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # the clone that this file is in, whether it is installed or not
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from compress.classroom import grade, handins
from compress.classroom.assignment import assignments
from compress.classroom.results import write_failure
from nn.files import FileError


def main(argv: list[str] | None = None) -> int:
    """Grade as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description="Grade one hand-in, and write Gradescope's results.json.")
    add = parser.add_argument
    add("--assignment", required=True, metavar="NAME")
    add("--submission", type=Path, default=Path("/autograder/submission"), metavar="DIR")
    add("--results", type=Path, default=Path("/autograder/results/results.json"), metavar="FILE")
    options = parser.parse_args(argv)
    try:
        options.results.parent.mkdir(parents=True, exist_ok=True)
        write_failure(options.results, "the grader did not come to an end")
        found = assignments()
        if options.assignment not in found:
            raise FileError(f"there is no assignment {options.assignment!r}; there are: {', '.join(found)}")
        file = handins.only(options.submission, found[options.assignment])
        (result,) = grade.grade_all([file], options.results)
    except (OSError, FileError) as error:
        print(f"autograder: {error}", file=sys.stderr)
        try:
            write_failure(options.results, str(error))
        except OSError:
            pass
        return 2
    print(result)
    return 0 if result.score == result.points else 1


if __name__ == "__main__":
    sys.exit(main())
