"""Exit codes, messages, and how fast help comes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from svgp.cli import app
from svgp.errors import Interrupted, RunError, TrainingDiverged

COMMANDS = [
    "init", "check", "train", "evaluate", "diagnose", "predict", "plot", "report", "runs", "export", "schema",
    "update", "launch", "doctor",
]  # fmt: skip


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_every_command_of_the_design_is_there_in_its_order(svgp):
    ended = svgp("--help")
    assert ended.code == 0
    listed = [
        line.split()[0] for line in ended.out.split("Commands:")[1].strip().splitlines() if line[2] != " "
    ]
    assert listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(svgp, command):
    ended = svgp(command, "--help")
    assert ended.code == 0
    assert ended.out.startswith("Usage: svgp " + command)


def test_help_loads_nothing_heavy():
    code = (
        "import sys, svgp.cli\n"
        "try:\n    svgp.cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'numpy', 'pyarrow', 'matplotlib', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    assert run_python(code).splitlines()[-1] == "heavy: []"


def test_help_takes_less_than_half_a_second():
    """Of processor time, the least of three: the machine may be busy with other tests."""
    took = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-m", "svgp", "--help"], capture_output=True, check=True)
        after = os.times()
        took.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    assert 0.0 < min(took) < 0.5


def test_a_bad_config_is_refused_without_tensorflow(tmp_path: Path):
    config = tmp_path / "bad.yaml"
    config.write_text("data: {dataset: curve}\nmodle: {}\n", encoding="utf-8")
    code = (
        "import sys, svgp.cli\n"
        f"try:\n    svgp.cli.main(['train', {str(config)!r}])\nexcept SystemExit as ended:\n"
        "    print(ended.code, 'tensorflow' in sys.modules)"
    )
    assert run_python(code) == "1 False\n"


def test_a_bad_config_shows_every_place_and_no_traceback(svgp, tmp_path: Path):
    config = tmp_path / "bad.yaml"
    config.write_text(
        "data: {dataset: curve}\nmodel:\n  inducing: {cuont: 4}\ntrain: {seed: x}\n", encoding="utf-8"
    )
    ended = svgp("check", config)
    assert ended.code == 1
    assert f"{config}:3:14" in ended.err and "did you mean 'count'?" in ended.err
    assert f"{config}:4" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "words", [["frobnicate"], ["check"], ["runs", "--colour"], ["train"], ["predict", "run"]]
)
def test_wrong_usage_is_code_2(svgp, words):
    ended = svgp(*words)
    assert ended.code == 2
    assert "Usage: svgp" in ended.err


def test_no_words_show_help(svgp):
    ended = svgp()
    assert "Usage: svgp" in ended.out + ended.err


def test_version(svgp):
    import svgp as package

    assert svgp("--version").out == f"svgp {package.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (RunError("runs/a: no such run folder"), 1, "error: runs/a: no such run folder\n"),
        (TrainingDiverged("Kuu is not positive definite"), 3, "error: Kuu is not positive definite\n"),
        (Interrupted("saved at step 3"), 130, "error: saved at step 3\n"),
        (PermissionError(13, "Permission denied", "/x.csv"), 1, "error: /x.csv: Permission denied\n"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
    ],
)  # fmt: skip
def test_what_an_error_becomes(svgp, monkeypatch, error, code, told):
    raise_from_runs(monkeypatch, error)
    ended = svgp("runs")
    assert (ended.code, ended.err, ended.out) == (code, told, "")


def test_an_unexpected_error_points_to_debug(svgp, monkeypatch):
    raise_from_runs(monkeypatch, ZeroDivisionError("division by zero"))
    ended = svgp("runs")
    assert ended.code == 1
    assert ended.err.splitlines()[0] == "error: ZeroDivisionError: division by zero"
    assert "--debug" in ended.err and "Traceback" not in ended.err


@pytest.mark.parametrize("words", [["--debug", "runs"], ["runs", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(svgp, monkeypatch, words):
    raise_from_runs(monkeypatch, RunError("gone"))
    ended = svgp(*words)
    assert ended.code == 1
    assert "Traceback" in ended.err and ended.err.strip().endswith("svgp.errors.RunError: gone")


def test_a_reader_that_has_enough_is_no_error():
    code = "import sys; print('started', file=sys.stderr); import svgp.cli; svgp.cli.main(['schema'])"
    piped = f'{sys.executable} -c "{code}" | head -n 1'
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {piped}"], capture_output=True, text=True)
    assert done.stdout == "{\n"
    assert done.stderr == "started\n"


def raise_from_runs(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(folder: Path) -> None:
        raise error

    monkeypatch.setattr("svgp.runs.listing.list_runs", fail)


def test_the_message_of_running_out_of_memory():
    assert "train.batch_size" in app.message(MemoryError())


def test_a_letter_that_the_locale_has_not_is_no_error(tmp_path: Path, monkeypatch):
    path = tmp_path / "naïve.csv"
    path.write_text("größe,y\n1.5,2\n2.5,3\n4.5,9\n5.5,7\n", encoding="utf-8")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with pytest.raises(SystemExit) as ended:
        app.main(["init", str(path), "--target", "y", "-o", str(tmp_path / "größe.yaml")])
    sys.stdout.flush()
    assert not ended.value.code and rb"gr\xf6\xdfe.yaml" in written.getvalue()
