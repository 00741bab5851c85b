"""Ctrl-C while a command starts and ends shows no traceback; imported first, and so importing next to nothing."""

import signal


def end_on_interrupt() -> None:
    """Let Ctrl-C end the process at once: nothing is under way. Where it is ignored (nohup), it stays so."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_on_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on, for who catches it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
