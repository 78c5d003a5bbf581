"""Owns how a command ends: its exit code, and what is printed of an error.

0 done; 1 an error; 2 wrong usage; 3 a check or the gate said no; 130 stopped by Ctrl-C or a signal to end.
"""

import functools
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, ParamSpec

import typer

DONE, ERROR, USAGE, BLOCKED, INTERRUPTED = 0, 1, 2, 3, 130
REPORT = "this is a bug of Penstock or of the pipeline's own code: please report it with the lines above"
P = ParamSpec("P")


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """Return `command` so that it ends with an exit code, and its expected errors as one plain line each."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        signal.signal(signal.SIGTERM, _terminate)
        _quiet_interrupts()
        try:
            code = command(*args, **kwargs)
        except KeyboardInterrupt:
            _end("stopped", INTERRUPTED)
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(DONE) from None
        except Exception as error:
            _explain(error)
        else:
            raise typer.Exit(code or DONE)

    return run


def _explain(error: Exception) -> NoReturn:
    from resources.errors import PenstockError

    if isinstance(error, typer.Exit | typer.Abort | typer.TyperException):
        raise error
    if isinstance(error, PenstockError):
        _end(f"error: {error}", ERROR)
    traceback.print_exception(error)
    _end(f"error: {REPORT}", ERROR)


def _end(line: str, code: int) -> NoReturn:
    print(line, file=sys.stderr)
    raise typer.Exit(code)


def _quiet_interrupts() -> None:
    """Keep libraries from printing a traceback where the interrupt hits them, such as while a connection is closed."""
    if logging.lastResort is not None and _is_no_interrupt not in logging.lastResort.filters:
        logging.lastResort.addFilter(_is_no_interrupt)


def _is_no_interrupt(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], KeyboardInterrupt))


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """Take SIGTERM as Ctrl-C, so that the run is recorded as stopped and scratch is removed."""
    raise KeyboardInterrupt
