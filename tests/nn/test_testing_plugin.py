"""pytest -p nn.testing.plugin: profiles, the header, long tests, and a test for each variant of a kernel."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import nn
from nn.testing import PROFILES, load_profile

TESTS = """
import numpy as np, nn, pytest
from hypothesis import given, settings
from nn.testing import cases

DRAWN = []

@given(cases(nn.kernels.relu))
def test_draws(case):
    DRAWN.append(case)

def test_as_many_as_the_profile_says():
    assert len(DRAWN) == settings().max_examples

@pytest.mark.long
def test_that_takes_long():
    pass

@pytest.mark.variants("gemm", "relu")
def test_each(variant):
    a = np.ones((2, 3), np.float32)
    assert nn.kernels.gemm(a, a.T.copy()).tolist() == [[3, 3], [3, 3]]
    kernel = nn.kernels.gemm if variant in nn.kernels.gemm.variants() else nn.kernels.relu
    assert kernel.choice == variant.number
"""


def run(folder, text, *options):
    (folder / "test_mine.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "nn.testing.plugin", "-p",
               "no:cacheprovider", "-p", "no:xdist", "-rs", "--strict-markers", *options, "test_mine.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("profile", "skipped"), [("default", 1), ("ci", 0)])
def test_profiles_markers_header_and_variants(tmp_path, profile, skipped):
    code, said = run(tmp_path, TESTS, *[f"--hypothesis-profile={profile}"] * (profile != "default"))
    assert code == 0, said
    assert f"profile {profile}: {PROFILES[profile]} examples a property" in said
    assert said.count("long: run it with --hypothesis-profile=ci") == skipped
    variants = len(nn.kernels.gemm.variants()) + len(nn.kernels.relu.variants())
    assert f"{variants + 3 - skipped} passed" in said


def test_a_profile_that_there_is_not_is_an_error_of_usage(tmp_path):
    code, said = run(tmp_path, TESTS, "--hypothesis-profile=nope")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert said.strip() == "ERROR: --hypothesis-profile: 'nope' is none of brief, default, ci, grading, long"


@pytest.mark.parametrize(("test", "message"), [
    ('@pytest.mark.variants("gemm")\ndef test_a(): pass', "test_a: marked with variants, it needs"),
    ('@pytest.mark.variants("gem")\ndef test_a(variant): pass', "test_a: variants wants names of kernels")])
def test_a_wrong_marker_fails_in_one_line(tmp_path, test, message):
    code, said = run(tmp_path, f"import pytest\n\n{test}\n")
    assert code != 0
    assert f"___\n{message}" in said, said


def test_a_profile_that_is_none():
    with pytest.raises(ValueError, match="load_profile: 'fast' is none of brief, default, ci, grading, long"):
        load_profile("fast")


def test_there_is_no_entry_point():
    assert not [entry.value for entry in entry_points(group="pytest11")
                if entry.value.startswith(("nn.", "compress."))]
