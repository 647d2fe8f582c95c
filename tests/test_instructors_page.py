"""notebooks/README.md: every notebook, section, assignment and command that it names is there."""

import re
import shlex
from pathlib import Path

import pytest

import compress.explain
import nn.explain
from compress.cli import command

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "notebooks"
TEXT = (HERE / "README.md").read_text(encoding="utf-8")
ASSIGNMENTS = {1: "autograd", 2: "convolution", 3: "memory", 4: "integers", 5: "kernel", 6: "pruning",
               7: "sharing", 8: "factoring", 9: "testing", 10: "rounding", 11: "surgeon", 12: "coding",
               13: "teaching", 14: "features"}
NOTEBOOKS = [f"{number:02}" for number in (*range(12), *range(13, 23))]    # 12 is left out


def section(title):
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title):
    """The rows of the table of a section, each a list of its cells."""
    found = re.findall(r"^\| (.*) \|$", section(title), re.MULTILINE)
    return [row.split(" | ") for row in found[1:]]


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(links) > 25
    assert [link for link in links if not (HERE / link).is_file()] == []


def test_every_notebook_has_a_week_and_no_other_is_named():
    linked = {Path(link).stem for link in re.findall(r"\]\((\w+\.py)\)", section("The weeks"))}
    assert linked == {path.stem for path in HERE.glob("*.py")}
    assert sorted({name[:2] for name in linked}) == NOTEBOOKS


def test_every_assignment_has_a_week_by_its_number():
    weeks = rows("The weeks")
    assert [week for week, *_ in weeks] == [str(number) for number in range(1, 16)]
    named = dict(re.match(r"(\d+) `(\w+)`", row[3]).groups() for row in weeks[1:])
    assert {int(number): name for number, name in named.items()} == ASSIGNMENTS
    folder = ROOT / "compress" / "classroom" / "assignments"
    assert {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"} == {
        *ASSIGNMENTS.values()}


def test_every_paper_has_authors_a_year_and_a_title():
    for row in rows("The weeks"):
        for paper in row[5].split("; "):
            assert re.fullmatch(r"[\w ,&’.\-]+ \((19|20)\d\d\), \*[^*]+\*", paper), paper


@pytest.mark.parametrize("row", rows("What students believe, and where it is tried"), ids=lambda row: row[0])
def test_the_sections_where_something_is_tried_are_there(row):
    said, is_so, where = row
    assert said
    assert is_so
    for text, path in re.findall(r"\[([^]]+)\]\(([^)]+)\)", where):
        assert path.startswith(text.split(",")[0])
        headings = re.findall(r"^# ## (\d+)\. ", (HERE / path).read_text(encoding="utf-8"), re.MULTILINE)
        assert {*re.findall(r"§(\d+)", text)} <= {*headings}


def test_the_misconceptions_that_a_course_must_meet_are_met():
    text = section("What students believe, and where it is tried")
    for said in ("fewer FLOPs are faster", "zeros are smaller", "the number of parameters is the memory",
                 "to quantize only the weights never speeds up", "doubling the batch halves the time"):
        assert f"| {said} |" in text


@pytest.mark.parametrize("line", re.findall(r"espalier ((?:[a-z-]+)(?: [^`\n#]+)?)", TEXT))
def test_every_command_that_is_named_is_one(line, capsys):
    """Its options, too: they stand in its help."""
    name, *arguments = shlex.split(line)
    with pytest.raises(SystemExit) as done:
        command([name, "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert [option for option in arguments if option.startswith("--") and option not in text] == []


def test_the_first_line_installs_what_notebooks_and_assignments_need():
    (line,) = re.findall(r"^python3 -m venv .*$", TEXT, re.MULTILINE)
    assert '".[notebooks,test]"' in line
    assert (ROOT / line.rsplit(maxsplit=1)[1]).is_file()


def test_the_drawings_that_are_named_are_there():
    text = section("What students believe, and where it is tried")
    for name in re.findall(r"nn\.explain\.(\w+)", text):
        assert name in nn.explain.__all__
    assert {*re.findall(r"`(histogram|codebook|mask|cores)`", text)} < {*compress.explain.__all__}
