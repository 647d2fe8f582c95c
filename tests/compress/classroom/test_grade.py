"""`espalier release` and `espalier grade`: what students get, what they hand in, and what is written of
it."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from compress.classroom import autograder, grade, handins, marks, release, sandbox
from compress.classroom.assignment import assignments
from compress.cli import command
from tests.compress.classroom import tiny

WRONG = tiny.RIGHT.replace("x + x", "x")


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Only the tiny assignment, and an empty working directory."""
    one = tiny.assignment(tmp_path / "course")
    for module in (grade, release, autograder):
        monkeypatch.setattr(module, "assignments", lambda: {"tiny": one})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return one


def hand_in(name, text, file="tiny.py"):
    folder = Path("handins", name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text, encoding="utf-8")


def test_many_hand_ins_make_a_table_and_a_file(course, capsys):
    hand_in("anna", tiny.RIGHT)
    hand_in("bert", WRONG)
    hand_in("carl", tiny.RIGHT, "homework.py")
    code = [["%matplotlib inline\n"], "1 / 0", tiny.RIGHT]
    cells = [{"cell_type": "code", "source": source} for source in code]
    cells.append({"cell_type": "markdown", "source": ["text"]})
    hand_in("dora", json.dumps({"cells": cells}), "tiny.ipynb")
    hand_in("emil", "no notebook", "tiny.ipynb")
    assert command(["grade", "handins", "--assignment", "tiny", "--json", "results.json"]) == 0
    rows = [line.split(maxsplit=5) for line in capsys.readouterr().out.splitlines()]
    assert [row[:5] for row in rows[1:]] == [
        ["anna", "tiny", "4", "4", "3/3"], ["bert", "tiny", "1", "4", "1/3"],
        ["carl", "tiny", "0", "4", "0/3"], ["dora", "tiny", "4", "4", "3/3"],
        ["emil", "tiny", "0", "4", "0/3"]]
    assert rows[3][5].startswith("there is no tiny.py, which is to be handed in; the folder has homework.py")
    written = json.loads(Path("results.json").read_text(encoding="utf-8"))["handins"]
    assert [(one["handin"], one["score"]) for one in written] == [
        ("anna", 4), ("bert", 1), ("carl", 0), ("dora", 4), ("emil", 0)]
    assert "no notebook" in written[4]["output"]
    assert sorted(os.listdir()) == ["handins", "results.json"]


def test_a_file_in_a_folder_of_the_assignments_name_is_found(course, capsys):
    """As it is released."""
    hand_in("anna/tiny", tiny.RIGHT)
    hand_in("bert/tiny/tiny", tiny.RIGHT)
    Path("handins", "carl", "tiny.py").mkdir(parents=True)
    assert command(["grade", "handins", "--assignment", "tiny"]) == 0
    anna, bert, carl = capsys.readouterr().out.splitlines()[1:]
    assert anna.split() == ["anna", "tiny", "4", "4", "3/3"]
    assert bert.endswith("there is no tiny.py, which is to be handed in; the folder has tiny/")
    assert carl.endswith("there is no tiny.py, which is to be handed in; the folder has tiny.py/")


def test_a_folder_that_cant_be_read_is_said_of_its_hand_in_only(course):
    hand_in("anna", WRONG)
    hand_in("bert", tiny.RIGHT)
    folder = Path("handins", "bert")
    folder.chmod(0)
    try:
        if os.geteuid() == 0:
            os.seteuid(sandbox.NOBODY)
        with suppress(PermissionError):  # the folder of this test can't be read by everyone
            anna, bert = handins.find(Path("handins"), [course], by_name=True)
            assert anna.why_not == ""
            assert bert.why_not == "the folder can't be read: Permission denied"
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o755)


def test_names_of_folders_and_files_are_one_line_of_text(course, capsys):
    hand_in("an\x1b[2Jna\nzero 4 of 4 points", tiny.RIGHT, "a\n\x1b.py")
    hand_in(os.fsdecode(b"caf\xe9"), tiny.RIGHT, "tiny (1).py")
    assert command(["grade", "handins", "--assignment", "tiny", "--json", "results.json"]) == 0
    table = capsys.readouterr().out
    assert [line.partition("  ")[0] for line in table.splitlines()[1:]] == [
        "an·[2Jna·zero 4 of 4 points", "caf·"]
    assert "the folder has a··.py" in table
    assert "\\ud" not in Path("results.json").read_text(encoding="utf-8")


def test_one_hand_in_is_what_gradescope_wants(course, capsys):
    hand_in("anna", "print('hello')\n" + WRONG)
    assert command(["grade", "handins/anna", "--json", "results.json"]) == 0
    out = capsys.readouterr().out
    assert "anna, tiny: 1 of 4 points" in out
    written = json.loads(Path("results.json").read_text(encoding="utf-8"))
    assert (written["score"], written["max_score"], written["stdout_visibility"]) == (1, 4, "hidden")
    tests = {one["name"]: one for one in written["tests"]}
    assert {name: one["visibility"] for name, one in tests.items()} == {
        "it_doubles": "visible", "it_adds_each_once": "visible", "it_leaves_its_argument": "after_published"}
    assert [one["status"] for one in written["tests"]] == ["failed", "passed", "failed"]
    assert sum(one["score"] for one in written["tests"]) == 1
    assert "It printed:\nhello" in tests["it_doubles"]["output"]
    assert "It printed" not in tests["it_leaves_its_argument"]["output"]


def test_the_file_is_whole_when_the_grader_dies(course, monkeypatch):
    """With zeros for what was not graded, from the start."""
    hand_in("anna", tiny.RIGHT)

    def dies(*_):
        assert json.loads(Path("results.json").read_text(encoding="utf-8"))["score"] == 0
        raise KeyboardInterrupt

    monkeypatch.setattr(grade, "_run", dies)
    assert command(["grade", "handins/anna", "--json", "results.json"]) == 130
    written = json.loads(Path("results.json").read_text(encoding="utf-8"))
    assert (written["score"], written["max_score"]) == (0, 4)
    assert "the grader was interrupted" in written["tests"][0]["output"]


def test_a_process_that_grades_and_dies_costs_one_hand_in(course, monkeypatch, capsys):
    hand_in("anna", tiny.RIGHT)
    hand_in("bert", tiny.RIGHT)
    monkeypatch.setattr(grade.grading, "__name__", "this_module_is_nowhere")
    assert command(["grade", "handins"]) == 0
    out = capsys.readouterr().out
    assert out.count("the process that graded this was ended with exit code 1") == 2


@pytest.mark.parametrize(("arguments", "said"), [
    (["grade", "nowhere"], "'nowhere' is no folder"), (["grade", "."], "there is no hand-in in '.'"),
    (["grade", ".", "--assignment", "tinny"], "there is no assignment 'tinny'; there are: tiny"),
    (["release", "--to", "out", "--assignment", "x"], "there is no assignment 'x'; there are: tiny"),
    (["grade", "handins", "--json", "no/folder/results.json"], "no/folder/results.json")])
def test_bad_usage_is_one_line(course, arguments, said, capsys):
    if "--json" in arguments:
        hand_in("anna", tiny.RIGHT)
    assert command(arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["grade", "."], ["release", "--to", "out"]])
def test_an_installed_package_says_that_it_has_no_assignments(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("compress.classroom.assignment.FOLDER", tmp_path / "assignments")
    monkeypatch.chdir(tmp_path)
    assert command(arguments) == 2
    assert "in a clone of the repository only, not in an installed package" in capsys.readouterr().err


def test_release_writes_copies_without_solutions_and_keeps_what_is_there(course, capsys):
    assert command(["release", "--to", "out"]) == 0
    copy = Path("out/tiny/tiny.py")
    assert sorted(str(path) for path in Path("out").rglob("*") if path.is_file()) == [
        "out/README.md", "out/tiny/tiny.py"]
    assert copy.read_text(encoding="utf-8") == marks.student_copy(course.text)
    copy.write_text(tiny.RIGHT, encoding="utf-8")
    assert command(["release", "--to", "out"]) == 1
    assert "is there and different, and is kept" in capsys.readouterr().out
    assert copy.read_text(encoding="utf-8") == tiny.RIGHT
    assert command(["release", "--to", "out", "--force"]) == 0
    assert copy.read_text(encoding="utf-8") == marks.student_copy(course.text)


@pytest.mark.long
def test_the_autograder_has_an_exit_code_and_always_a_file(course, capsys):
    hand_in("anna", tiny.RIGHT)
    hand_in("bert", WRONG)
    for name, code, score in (("anna", 0, 4), ("bert", 1, 1), ("nobody", 1, 0)):
        arguments = ["--submission", f"handins/{name}", "--results", f"out/{name}.json"]
        assert autograder.main(["--assignment", "tiny", *arguments]) == code
        assert json.loads(Path(f"out/{name}.json").read_text(encoding="utf-8"))["score"] == score
    assert autograder.main(["--assignment", "x", *arguments]) == 2
    assert "no assignment 'x'" in json.loads(Path("out/nobody.json").read_text(encoding="utf-8"))["output"]


def test_the_autograder_is_one_file_to_call():
    file = Path(autograder.__file__)
    done = subprocess.run([sys.executable, "-S", file, "--help"], capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    assert done.returncode == 0
    assert "results.json" in done.stdout


# A student's own run


def own_run(tmp_path, text, *names):
    file = tmp_path / "tiny.py"
    file.write_text(text, encoding="utf-8")
    root = Path(__file__).resolve().parents[3]
    return subprocess.run([sys.executable, file, *names], capture_output=True, text=True, check=False,
                          env=os.environ | {"PYTHONPATH": str(root), "PYTHONIOENCODING": "utf-8"})


def test_a_students_own_run_prints_points_and_examples(tmp_path):
    blank = marks.student_copy(tiny.SOURCE)
    done = own_run(tmp_path, blank)
    assert done.returncode == 1
    assert "0/2  it_doubles: Every number is doubled." in done.stdout
    assert "double is not written yet" in done.stdout
    assert "0 of 3 points" in done.stdout
    solved = marks.solved_copy(tiny.SOURCE)
    done = own_run(tmp_path, solved.replace("2 * x", "x ** 2"), "it_doubles")
    assert "wanted [2]; got [1]\n           for x = [1]" in done.stdout
    assert "it_adds_each_once" not in done.stdout
    assert own_run(tmp_path, solved).returncode == 0
    done = own_run(tmp_path, solved, "it_dubles")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no property is called 'it_dubles'; there are: it_doubles" in done.stderr


@pytest.mark.long
def test_a_students_own_run_ends_where_a_loop_does_not(tmp_path):
    solved = marks.solved_copy(tiny.SOURCE)
    for endless in "while True: pass", "while True:\n        try: x = x\n        except: pass":
        text = solved.replace("return 2 * x", endless)
        assert text != solved
        done = own_run(tmp_path, text)
        assert done.returncode == 1
        assert "double was stopped after 3 seconds of computing: does a loop never end?" in done.stdout
        assert "in double: while True:" in done.stdout
        assert "1 of 3 points" in done.stdout


def test_every_source_runs_itself_to_all_points(capsys, monkeypatch):
    """As `python integers.py` does; the reference is a right hand-in to its own properties."""
    one = assignments()["integers"]
    monkeypatch.setattr(sys, "argv", [str(one.source), "zero_is_exact"])
    monkeypatch.setitem(sys.modules, "__main__", one.module)
    from compress.classroom.graded import main

    with pytest.raises(SystemExit) as ended:
        main(str(one.source))
    assert ended.value.code == 0
    assert capsys.readouterr().out == "2/2  zero_is_exact\n2 of 2 points\n"
