"""The benchmark scripts at tiny sizes, ours alone: that they run, and that their numbers are right."""

from __future__ import annotations

import gzip
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from svgp.cli import main as svgp_command

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as benchmark_quality wants them: y in the middle, a constant column, units far from 1."""
    folder = tmp_path_factory.mktemp("data") / "waves"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, rows in (("train", 200), ("test", 50)):
        x = rng.normal(50.0, 10.0, size=rows)
        y = 1e3 * np.sin(x / 10.0) + rng.normal(size=rows)
        table = np.column_stack([x, y, np.full(rows, 7.0)])
        with gzip.open(folder / f"{name}.csv.gz", "wt", encoding="utf-8") as file:
            np.savetxt(file, table, delimiter=",", header="x1,y,x2", comments="")
    return folder


def test_a_table_of_steps():
    done = run(
        "benchmark_step", "--sizes", "8", "--batches", "16", "--dtypes", "mixed", "--parametrisations",
        "whitened", "--rounds", "2", "--libraries", "ours", "--matmul-size", "64", "--markdown",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    times = next(line for line in done.stdout.splitlines() if re.match(r"\| +8 \|", line))
    assert float(times.split("|")[5]) > 0.0  # milliseconds
    assert "[1/1] M = 8, B = 16, mixed, whitened" in done.stderr


def test_awkward_tables_and_what_of_a_run_is_wasted(monkeypatch, capsys, tmp_path, no_plots):
    """Its three commands in this process: one that loads TensorFlow takes five seconds of a processor."""
    script = runpy.run_path(str(SCRIPTS / "benchmark_tables"))
    commands = []

    def in_this_process(command, process=subprocess.run, **given):
        if command[:3] != [sys.executable, "-m", "svgp"]:
            return process(command, **given)
        commands.append(command[3])
        monkeypatch.chdir(given["cwd"])
        with pytest.raises(SystemExit) as ended:
            svgp_command(command[3:])
        monkeypatch.chdir(tmp_path)
        return subprocess.CompletedProcess(command, ended.value.code or 0, "", "")

    monkeypatch.setattr(subprocess, "run", in_this_process)
    words = "--only semicolons.csv --rows 80 train.max_steps=2 --markdown"
    monkeypatch.setattr(sys, "argv", ["benchmark_tables", *words.split()])
    assert script["main"]() == 0
    assert commands == ["init", "check", "train"]
    said = capsys.readouterr().out
    assert re.search(r"\| +semicolons.csv \| +done \| +\d+ \| +2 \|", said), said
    wasted = script["wasted"]
    history = [{"wall_s": float(t), "test.nlpd": 1.0 / t} for t in range(1, 5)]
    assert wasted(history, 10) == 0.0
    history += [{"wall_s": 5.0, "test.nlpd": 0.2501}, {"wall_s": 6.0, "test.nlpd": 0.25}]
    assert wasted(history, 10) == pytest.approx(2 / 6)  # as good at 4 s as at 6 s
    history += [{"wall_s": t, "evidence": e} for t, e in ((7.0, 1.0), (8.0, 9.0), (10.0, 9.01))]
    assert wasted(history, 10) == pytest.approx((2 + 2) / 10)


def test_what_a_step_costs_beside_its_gradient(monkeypatch, capsys):
    """Run in this process, which has loaded TensorFlow, or will."""
    script, words = SCRIPTS / "benchmark_overhead", "--sizes 8 --batch 16 --rows 64 --rounds 1"
    monkeypatch.setattr(sys, "argv", [str(script), *words.split()])
    runpy.run_path(str(script), run_name="__main__")
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["M", "B", "dtype", "gradient"] and len(rows) == 2
    assert [row.split()[2] for row in rows] == ["float64", "float32"]


def test_needed_operations():
    """math.md, section 2, with one weight: 5 M^2 B and 11/3 or 13/3 M^3."""
    from benchmarks.step_case import Case

    assert Case(2, 3, "float64", True).operations == pytest.approx(60 + 11 / 3 * 8)
    assert Case(2, 3, "float64", False).operations == pytest.approx(60 + 13 / 3 * 8)


@pytest.mark.slow
@pytest.mark.parametrize("whiten", [True, False])
def test_gradients_are_those_of_gpflow(whiten, tmp_path):
    """In processes, through the protocol: the check that the script prints."""
    pytest.importorskip("gpflow")
    from benchmarks.step import EQUAL, Result, measure
    from benchmarks.step_case import Case

    result = Result(Case(6, 10, "float64", whiten))
    measure(result, {"ours": sys.executable, "GPflow": sys.executable}, rounds=2)
    assert not result.failures
    assert [len(result.seconds[name]) for name in ("ours", "GPflow")] == [2, 2]
    assert set(result.differences) == {"Z", "q_mean", "q_sqrt", "variance", "lengthscales", "noise"}
    assert max(*result.differences.values(), result.elbo_differences["GPflow"]) < EQUAL


def test_a_worker_is_timed_and_compared_with_itself():
    """More than one is for tests/test_workers.py: here it would take a minute."""
    words = "--workers 1 --methods adam collapsed --inducing 6 --batch 16 --rows 60 --steps 2"
    done = run("benchmark_workers", *words.split())
    assert done.returncode == 0, done.stderr
    for method in ("adam", "collapsed"):
        line = next(line for line in done.stdout.splitlines() if re.match(rf" *{method} +1 ", line)).split()
        assert float(line[2]) > 0.0 and line[4:] == ["100%", "100%", "0.0%", "0e+00"]


def test_operations_of_both_paths(monkeypatch, capsys):
    """Of the collapsed bound 3 + 3 M^2 B by the host, as its docstring says, and some M^3.

    Of the evidence 6 M^2 B and, as many here with 16 neighbours and M = 32, 2 m^2 M + 12 m M of each row.
    """
    script = runpy.run_path(str(SCRIPTS / "benchmark_operations"))
    monkeypatch.setattr(sys, "argv", ["benchmark_operations", "--inducing", "32", "--batch", "512"])
    script["main"]()
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:]}
    own = {"evidence", "neighbours"}
    assert set(lines) == {"adam", "natgrad", "mixed", "collapsed", "predict", *own}
    host, device = map(float, lines["collapsed"])
    assert 6.0 < host < 7.5 and host < device < 15.0
    host, device = map(float, lines["evidence"])
    assert 22.0 < host < 32.0 and host < device < 50.0
    assert "float32" in lines["mixed"]


def test_the_efficiency_of_workers():
    script = runpy.run_path(str(SCRIPTS / "benchmark_workers"))
    found = {
        ("adam", 1): {"wall_s": 0.2, "processor_s": 0.18, "messages_s": 0.0, "value": -8.0},
        ("adam", 2): {"wall_s": 0.125, "processor_s": 0.24, "messages_s": 0.01, "value": -8.0 - 4e-9},
    }
    line = script["row"](found, "adam", 2)
    assert line["by clock"] == "80%" and line["by work"] == "75%" and line["messages"] == "8.0%"
    assert line["step"] == "125.0" and line["processor"] == "240.0" and line["apart"] == "5e-10"


def test_ratios_and_shares():
    from benchmarks.step import Result
    from benchmarks.step_case import Case
    from benchmarks.step_tables import tables

    case = Case(100, 100, "float64", True)  # 8.67e6 operations
    result = Result(
        case,
        seconds={"ours": [1e-3, 2e-3, 4e-3], "GPflow": [4e-3, 4e-3, 4e-3]},
        peak_mib={"ours": 120.0, "GPflow": 150.0},
        loaded_mib={"ours": 100.0, "GPflow": 100.0},
        differences={"Z": 3e-7},
        elbo_differences={"GPflow": 1e-9},
    )
    text = tables([result], {"float64": {"SciPy": 2 * case.operations / 2e-3}}, markdown=False)
    assert re.search(r"2\.0 +4\.0 +2\.00 +0\.01 +4 +50%", text)
    assert re.search(r"120 +20 +150 +50", text)
    assert "NOT within 1e-07" in text


def test_quality_over_time(data, tmp_path, monkeypatch):
    results = tmp_path / "results"
    done = run(
        "benchmark_quality", data, "--seconds", "1.2", "--inducing", "12", "--contenders", "ours",
        "--results", results, "--markdown", tmp_path / "table.md",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (results / "quality.jsonl").read_text().splitlines()]
    assert rows[0]["contender"] == "ours" and rows[0]["method"] == "collapsed"
    assert (
        rows[-1]["rmse"] < 0.2
    )  # of the target's standard deviation: it was learned, and in standardised units
    assert "| waves |" in (tmp_path / "table.md").read_text().replace("  ", "")
    assert (results / "waves.png").stat().st_size > 10_000
    with np.load(results / "waves.npz") as problem:
        assert problem["Z"].shape == (12, 2)
        np.testing.assert_allclose(problem["X"].mean(0), 0.0, atol=1e-12)
        np.testing.assert_allclose(problem["X"].std(0), [1.0, 0.0], atol=1e-12)
    # Results are not mixed with others: refused before anything is started.
    script = str(SCRIPTS / "benchmark_quality")
    monkeypatch.setattr(sys, "argv", [script, str(data), "--results", str(results), "--contenders", "ours"])
    with pytest.raises(SystemExit, match="holds results already"):
        runpy.run_path(script, run_name="__main__")


def test_slices_grow_and_end_at_the_end():
    from benchmarks.quality import LONGEST_SLICE, slices

    assert slices(60.0, 20.0) == [20.0, 40.0, 60.0] and slices(5.0, 20.0) == [5.0]
    ends = slices(60.0)
    lengths = np.diff([0.0, *ends])
    assert ends[-1] == 60.0 and lengths[0] == 0.5
    assert np.all(lengths > 0) and lengths.max() <= LONGEST_SLICE


def test_time_to_the_quality_of_a_peer():
    from benchmarks.quality import Curve
    from benchmarks.quality_report import speed_row

    def rows(*pairs: tuple[float, float]) -> list[dict[str, float]]:
        return [{"seconds": seconds, "nlpd": nlpd} for seconds, nlpd in pairs]

    ours = Curve("d", "ours", rows((2, 0.9), (6, 0.3), (60, 0.1)))
    row = speed_row(ours, Curve("d", "peer", rows((30, 0.8), (60.1, 0.4), (70, 0.2))), [60.0])
    assert row["NLPD at 60 s"] == "0.400" and row["ours, s (60)"] == "6.0" and row["ratio (60)"] == "10.0"
    row = speed_row(ours, Curve("d", "peer", rows((60.1, 0.05))), [60.0])
    assert row["ours, s (60)"] == "never" and row["ratio (60)"] == "-"


def test_an_idle_worker_is_stopped_and_a_failed_one_says_why(tmp_path, monkeypatch):
    from benchmarks import worker as module

    code = (
        "from benchmarks.channel import Channel\n"
        "channel = Channel()\n"
        "print('chatter of a library', flush=True)\n"
        "while True: channel.answer(half=1 / channel.receive()['x'])\n"
    )
    (tmp_path / "halves.py").write_text(code, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(SCRIPTS)])
    monkeypatch.setattr(module, "environment", lambda **_: {**os.environ, "PYTHONPATH": path})
    worker = module.Worker("halves", sys.executable, "halves")
    with module.closing_all([worker]):
        assert worker.ask(x=2) == {"half": 0.5}
        assert _state(worker) == "T"
        assert worker.ask(x=4) == {"half": 0.25}
        with pytest.raises(module.WorkerFailed, match="halves ended.*\n.*chatter(.|\n)*ZeroDivisionError"):
            worker.ask(x=0)


def _state(worker: object) -> str:
    """The process's state in /proc: T is stopped."""
    file = Path(f"/proc/{worker._process.pid}/stat")
    if not file.exists():
        pytest.skip("there is no /proc here")
    for _ in range(100):
        state = file.read_text().rsplit(")", 1)[1].split()[0]
        if state == "T":
            break
        time.sleep(0.01)
    return state


@pytest.mark.slow
def test_an_interruption_leaves_what_was_measured(data, tmp_path):
    command = [
        sys.executable, str(SCRIPTS / "benchmark_quality"), str(data), "--seconds", "600", "--inducing", "8",
        "--contenders", "ours-adam", "--results", str(tmp_path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()  # a line a slice
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert "NLPD" in first
    assert process.returncode == 130 and "interrupted" in errors
    assert "ours-adam" in output
