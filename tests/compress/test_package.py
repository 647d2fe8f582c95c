"""`import compress` loads nothing until a name is asked for, and a name means the same in whatever order."""

import subprocess
import sys
from pathlib import Path

import pytest

import compress

ROOT = Path(compress.__file__).parents[1]


def run(program):
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_it_loads_nothing_by_itself():
    run("import sys, compress; assert 'numpy' not in sys.modules; compress.Prune; sys.modules['numpy']")


@pytest.mark.parametrize("name", ["convert", "prepare", "report"])
def test_a_function_is_not_its_module(name):
    for first in (f"import compress.{name}", f"from compress.{name} import {name}", "import compress.chain"):
        run(f"{first}\nimport compress\nassert callable(compress.{name})\nfrom compress import {name} as it\n"
            f"assert it is compress.{name}")  # fmt: skip


def test_every_name_is_there_and_no_other():
    assert set(compress.__all__) <= set(dir(compress))
    for name in compress.__all__:
        assert getattr(compress, name) is not None
    with pytest.raises(AttributeError, match="module 'compress' has no attribute 'Squeeze'"):
        _ = compress.Squeeze
