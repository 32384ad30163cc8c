from __future__ import annotations

import os
import signal

import pytest

from svgp.training.interrupts import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks(number):
    told: list[str] = []
    before = signal.getsignal(number)
    with StopRequest(told.append) as request:
        assert request.asked is None
        os.kill(os.getpid(), number)
        assert request.asked == signal.Signals(number).name
    assert signal.getsignal(number) is before
    assert len(told) == 1 and "saving" in told[0]


def test_the_second_interrupt_quits():
    with pytest.raises(KeyboardInterrupt), StopRequest(lambda text: None):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_within_a_write_to_the_stream_that_would_tell_of_it_asks_as_well(capfd):
    def tell(text):
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    with StopRequest(tell) as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.asked == "SIGINT"
    assert capfd.readouterr().err == "SIGINT: stopping and saving; once more to quit at once\n"
