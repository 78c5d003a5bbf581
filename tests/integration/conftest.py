"""Hands the S3 server and the command line to every test of this folder: one a session, not one a module."""

from tests.integration.seaweed import s3_url, seaweed
from tests.integration.shell import already_run, empty, shell

__all__ = ["already_run", "empty", "s3_url", "seaweed", "shell"]
