"""Owns the checks of every stage: what blocks, what warns, with the numbers in their metadata."""

from collections.abc import Generator, Iterable

import dagster as dg

from assets.ingest import Ingest
from assets.metadata import drift_metadata, gate_metadata, ingest_report_metadata, suite_metadata
from assets.stage import Stage, partition_of, plain_failures
from quality.drift import drift
from quality.expectations import SuiteResult, run_suite
from quality.history import freshness, volume
from resources.canonical import digest_value
from resources.errors import ObjectMissing
from resources.refs import DatasetRef, GateReport
from resources.source.report import IngestReport
from resources.storage.datasets import read_frame
from resources.storage.memo import recall, remember
from resources.storage.objects import get_object
from resources.storage.refs import RefStore
from resources.wiring import WorkspaceResource
from resources.workspace import Workspace

PAST_PARTITIONS = 12
"""How many earlier partitions the volume check compares with: a year of months."""
