"""The command line: `penstock COMMAND`. One command a file; nothing heavy is imported before a command needs it."""

from pipelines.cli.app import main

__all__ = ["main"]
