"""Hands the servers and the command line to every test of this folder: one a session, not one a module."""

from tests.integration.postgres import postgres_url
from tests.integration.seaweed import s3_url, seaweed
from tests.integration.shell import already_run, empty, shell

__all__ = ["already_run", "empty", "postgres_url", "s3_url", "seaweed", "shell"]
