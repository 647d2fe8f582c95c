"""Every notebook runs from top to bottom, and its .ipynb is what its .py says, byte for byte."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from compress.cli import command
from compress.cli.notebooks import convert
from nn import FileError

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ("im2col", "qgemm", "gemm", "quantize", "dequantize", "max_pool2d", "spmm_csr", "codebook_gemm",
           "tt_matmul", "conv2d", "winograd_conv2d")    # of a listing
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
    claims = re.findall(rf"`({'|'.join(KERNELS)})`", prose(path))
    assert [op for op in claims if f" = {op}(" not in run.stdout] == []    # the text speaks of what is listed


def prose(path):
    """The text of a notebook, without its code."""
    cells = json.loads(convert(path.read_text(encoding="utf-8"), path.name))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_text_names_no_instruction_set(path):
    """It is read on every machine; what a cell finds out about yours, the cell prints."""
    assert not re.search(r"\b(AVX|SSE|NEON|[xyz]mm\d|vp[a-z]{3,})", prose(path))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_ipynb_is_generated_from_the_source(path):
    written = path.with_suffix(".ipynb").read_bytes()
    assert written == convert(path.read_text(encoding="utf-8"), path.name)


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
    assert path.read_bytes() == convert(SMALL, "a.py")
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


# What a reader has written is not lost


def answered(notebook):
    notebook["cells"][1]["source"] = "yours = 42\n"


def computed(notebook):
    notebook["cells"][1] |= {"execution_count": 1, "outputs": [{"output_type": "stream", "text": ["1\n"]}]}


def added(notebook):
    notebook["cells"].append({"cell_type": "markdown", "id": "x", "metadata": {}, "source": ["my notes"]})


def removed(notebook):
    del notebook["cells"][2]


def anonymous(notebook):
    del notebook["metadata"]["generated"]


def illustrated(notebook):
    notebook["cells"][0]["attachments"] = {"mine.png": {"image/png": "iVBORw0KGgo="}}


def tagged(notebook):
    notebook["cells"][1]["metadata"]["tags"] = ["exercise"]


def locked(notebook):
    notebook["cells"][1]["metadata"]["editable"] = False


def titled(notebook):
    notebook["metadata"]["title"] = "My tour"


@pytest.fixture
def notebook(tmp_path):
    (tmp_path / "a.py").write_text(SMALL, encoding="utf-8")
    assert command(["notebooks", str(tmp_path)]) == 0
    return tmp_path / "a.ipynb"


CHANGES = [answered, computed, added, removed, anonymous, illustrated, tagged, locked, titled]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_notebook_is_kept_and_said(notebook, change, capsys):
    content = json.loads(notebook.read_text(encoding="utf-8"))
    change(content)
    mine = json.dumps(content).encode()
    notebook.write_bytes(mine)
    assert command(["notebooks", str(notebook.parent)]) == 1
    assert notebook.read_bytes() == mine
    said = capsys.readouterr().err
    assert str(notebook) in said
    assert "--force" in said
    assert command(["notebooks", str(notebook.parent), "--force"]) == 0
    assert notebook.read_bytes() == convert(SMALL, "a.py")


def test_what_is_no_json_is_kept_too(notebook):
    notebook.write_bytes(b"my notes")
    assert command(["notebooks", str(notebook.parent)]) == 1
    assert notebook.read_bytes() == b"my notes"


def test_a_notebook_that_was_only_opened_follows_its_source(notebook):
    """Jupyter saves a source as one text, and metadata of its own."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        cell["source"] = "".join(cell["source"])
        cell["metadata"] = {
            "editable": True, "tags": [], "slideshow": {"slide_type": ""}, "trusted": True, "scrolled": True,
            "collapsed": False, "jupyter": {"source_hidden": True},
        }  # fmt: skip
        cell["id"] += "x"
    content["metadata"]["language_info"] = {"name": "python", "version": "3.12.1"}
    content["metadata"]["kernelspec"] = {"display_name": "mine", "language": "python", "name": "mine"}
    content["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    notebook.write_text(json.dumps(content), encoding="utf-8")
    notebook.with_suffix(".py").write_text(SMALL.replace("a = 1", "a = 2"), encoding="utf-8")
    assert command(["notebooks", str(notebook.parent)]) == 0
    assert b"a = 2" in notebook.read_bytes()


def test_a_bad_source_leaves_every_notebook_as_it_was(notebook):
    before = notebook.read_bytes()
    notebook.with_suffix(".py").write_text(SMALL.replace("a = 1", "a = 2"), encoding="utf-8")
    (notebook.parent / "b.py").write_text("print()\n", encoding="utf-8")
    assert command(["notebooks", str(notebook.parent)]) == 2
    assert notebook.read_bytes() == before


# Sources and places of any kind


def test_a_source_that_is_not_utf_8_is_named(tmp_path, capsys):
    (tmp_path / "a.py").write_bytes(SMALL.replace("a = 1", "a = 'é'").encode("latin-1"))
    assert command(["notebooks", str(tmp_path)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'a.py'}: not UTF-8" in said


def test_a_byte_order_mark_is_no_text(notebook):
    source = notebook.with_suffix(".py")
    source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    assert command(["notebooks", str(notebook.parent), "--check"]) == 0


def test_a_link_to_a_file_that_is_not_there(notebook, capsys):
    mine = notebook.parent / "elsewhere.ipynb"
    notebook.unlink()
    notebook.symlink_to(mine)
    assert command(["notebooks", str(notebook.parent)]) == 0
    assert mine.read_bytes() == convert(SMALL, "a.py")
    notebook.unlink()
    notebook.symlink_to(notebook.parent / "nowhere" / "a.ipynb")
    capsys.readouterr()
    assert command(["notebooks", str(notebook.parent)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f"{notebook}: a link into {notebook.parent / 'nowhere'}" in said


def test_the_advice_can_be_followed(tmp_path, capsys):
    folder = tmp_path / "my notes"
    folder.mkdir()
    (folder / "a.py").write_text(SMALL, encoding="utf-8")
    assert command(["notebooks", str(folder), "--check"]) == 1
    advice = shlex.split(capsys.readouterr().err.strip().rpartition("run: espalier ")[2])
    assert command(advice) == 0
    assert (folder / "a.ipynb").is_file()
