from __future__ import annotations

import os
import signal

import pytest

from segengine.engine.signals import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_wish_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    before, said = signal.getsignal(number), []
    with stop_on_signals(said.append) as stop_wanted:
        assert not stop_wanted()
        os.kill(os.getpid(), number)
        assert stop_wanted()
    assert signal.getsignal(number) is before
    assert said == [f"{number.name}: saving after this step (Ctrl-C again to stop immediately)"]


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), stop_on_signals(lambda text: None):  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
