"""Every notebook runs from top to bottom, and its .ipynb is what its .py says, byte for byte."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from compress.cli import command
from compress.cli.notebooks import convert
from nn import FileError

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))


def test_there_are_notebooks():
    assert SOURCES
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == {path.stem for path in SOURCES}


@pytest.mark.skipif(not find_spec("matplotlib"), reason="the notebooks draw with matplotlib (the extra plot)")
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    """As a script in an empty folder, where it leaves nothing behind; with short trainings."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "NN_FAST": "1", "MPLBACKEND": "Agg", "TMPDIR": str(tmp_path / "tmp"),
    }  # fmt: skip
    (tmp_path / "tmp").mkdir()
    (tmp_path / "here").mkdir()
    run = subprocess.run([sys.executable, path], cwd=tmp_path / "here", env=environment, capture_output=True,
                         text=True, timeout=300, check=False)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr
    assert not list((tmp_path / "here").iterdir())
    assert not list((tmp_path / "tmp").rglob("*.safetensors"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_ipynb_is_generated_from_the_source(path):
    assert path.with_suffix(".ipynb").read_bytes() == convert(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_magics_and_no_output(path):
    assert not re.search(r"^\s*[%!]", path.read_text(encoding="utf-8"), re.MULTILINE)
    for cell in json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)


# The converter

SMALL = """# %% [markdown]
# # A title
#
# Text with $x$.

# %%
a = 1

b = "# %% no cell"

# %%
"""


def cells(text):
    return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(convert(text))["cells"]]


def test_cells_of_text_and_of_code():
    code = 'a = 1\n\nb = "# %% no cell"'
    assert cells(SMALL) == [("markdown", "# A title\n\nText with $x$."), ("code", code), ("code", "")]


def test_ids_are_numbers_and_the_bytes_always_the_same():
    made = json.loads(convert(SMALL))
    assert [cell["id"] for cell in made["cells"]] == ["nn-00", "nn-01", "nn-02"]
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert convert(SMALL) == convert(SMALL)
    assert convert(SMALL).endswith(b"}\n")


def test_it_is_a_valid_notebook():
    nbformat = pytest.importorskip("nbformat", reason="checks the format (the extra notebooks)")
    nbformat.validate(nbformat.reads(convert(SMALL).decode(), as_version=4))


NONE = ["", "a = 1\n", "import x\n# %%\n", "# %% [markdown]\nno comment\n", "# %% [raw]\n"]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_notebook_is_refused(text):
    with pytest.raises(FileError, match=r"x\.py"):
        convert(text, "x.py")


# The command


def test_the_command_writes_and_checks(tmp_path, capsys):
    (tmp_path / "a.py").write_text(SMALL, encoding="utf-8")
    path = tmp_path / "a.ipynb"
    assert command(["notebooks", str(tmp_path), "--check"]) == 1
    assert "a.ipynb" in capsys.readouterr().err
    assert not path.exists()
    assert command(["notebooks", str(tmp_path)]) == 0
    assert path.read_bytes() == convert(SMALL)
    assert command(["notebooks", str(tmp_path), "--check"]) == 0
    path.write_bytes(path.read_bytes() + b" ")
    assert command(["notebooks", str(tmp_path), "--check"]) == 1


def test_the_command_refuses_what_is_no_notebook(tmp_path, capsys):
    assert command(["notebooks", str(tmp_path)]) == 2
    assert "no notebook" in capsys.readouterr().err
    (tmp_path / "a.py").write_text("print()\n", encoding="utf-8")
    assert command(["notebooks", str(tmp_path)]) == 2
    assert "a.py: the first line must be" in capsys.readouterr().err
    assert not (tmp_path / "a.ipynb").exists()
