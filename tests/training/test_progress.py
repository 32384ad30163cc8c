from __future__ import annotations

import io

import pytest

from svgp.training.progress import Plain, Terminal, clock, describe_row

ROW = {"step": 48, "epoch": 1.2, "wall_s": 3.0, "elbo_per_row": -0.81234, "kl": 120.12, "repairs": 0}


def test_a_row_in_words():
    text = describe_row({**ROW, "test.rmse": 0.31256}, rate=41.23, remaining_s=64.0)
    assert text == (
        "epoch 1.20  step 48  ELBO/row -0.8123  KL 120.1  test.rmse 0.3126  41.2 steps/s  1:04 left"
    )
    assert "3 jitter repairs" in describe_row({**ROW, "repairs": 3}, rate=1.0, remaining_s=None)


@pytest.mark.parametrize("seconds, text", [(7.2, "0:07"), (750, "12:30"), (11100, "3:05:00"), (59.9, "1:00")])
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_plain_rows_are_few(capsys):
    file = io.StringIO()
    plain = Plain(file, every_s=10.0)
    for second in range(25):
        plain.row({**ROW, "wall_s": float(second)}, rate=1.0, remaining_s=None)
    plain.row({**ROW, "wall_s": 25.0, "test.rmse": 0.1}, rate=1.0, remaining_s=None)
    assert len(file.getvalue().splitlines()) == 4  # at 0, 10 and 20 seconds, and the evaluation


def test_terminal_keeps_the_last_evaluation_in_view():
    from rich.console import Console

    file = io.StringIO()
    terminal = Terminal(Console(file=file, force_terminal=True, width=200))
    terminal.row({**ROW, "test.rmse": 0.5}, rate=2.0, remaining_s=5.0)
    terminal.row({**ROW, "step": 49}, rate=2.0, remaining_s=5.0)
    terminal.note("[a note]")
    terminal.close()
    last = file.getvalue()
    assert "step 49" in last and "test.rmse 0.5" in last.split("step 49")[-1] and "[a note]" in last
