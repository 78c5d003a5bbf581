"""Owns what an alarm is, and what the shop's owner declared with moderate effort: contract, tolerances, seasons."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from _verdicts_orders import CHANNELS, COUNTRIES, KINDS, PAYMENTS, day_start

from quality.contract import Contract
from quality.verdicts import Finding, Verdict

DERIVED = ("event_hour", "delay_s")
"""Columns that the owner adds for the drift test: the hour of the event, and how late the order arrived."""
CATEGORICAL = ("status", "rating", "quantity", "event_hour")
KEYS = ("order_id", "customer_id", "email", "postcode", "sku", "event_time", "arrival_time")
"""Columns of which each value is another one: their distributions say nothing."""
LABEL = "returned"
EFFECT = 0.02
"""Tolerated distance of distributions."""
ROW_COLUMNS = ("email", "city", "postcode", "sku", "unit_price", "total", "weight_kg", "session_s", "prediction")
"""What an order says apart from its key and its times."""
CONTRACT = Contract.model_validate(
    {
        "columns": {
            "order_id": "int64",
            "event_time": "timestamp[us, tz=UTC]",
            "customer_id": "int64",
            "email": {"type": "string", "pattern": r"c\d+@example\.org"},
            "country": {"type": "string", "allowed": COUNTRIES},
            "city": "string",
            "postcode": {"type": "string", "pattern": r"\d{5}"},
            "payment": {"type": "string", "allowed": PAYMENTS},
            "channel": {"type": "string", "allowed": CHANNELS},
            "status": {"type": "int64", "allowed": (100, 200, 300, 400)},
            "kind": {"type": "string", "allowed": KINDS},
            "sku": {"type": "string", "pattern": r"[a-z]{2}-\d{5}"},
            "unit_price": {"type": "float64", "minimum": 0.01, "maximum": 100_000},
            "quantity": {"type": "int64", "minimum": 1, "maximum": 10_000},
            "discount": {"type": "float64", "minimum": 0, "maximum": 1},
            "shipping": {"type": "float64", "minimum": 0, "nullable": True},
            "total": {"type": "float64", "minimum": 0},
            "points": "int64",
            "weight_kg": "float64",
            "rating": {"type": "int64", "allowed": (1, 2, 3, 4, 5), "nullable": True},
            "is_gift": "bool",
            "session_s": "float64",
            "temperature": "float64",
            "stock": "float64",
            "note": {"type": "string", "nullable": True},
            "arrival_time": "timestamp[us, tz=UTC]",
            "returned": "bool",
            "prediction": {"type": "float64", "minimum": 0, "maximum": 1},
            "champion": {"type": "float64", "minimum": 0, "maximum": 1},
        }
    }
)

SUITE = (
    {
        "type": "expect_column_pair_values_a_to_be_greater_than_b",
        "kwargs": {"column_A": "arrival_time", "column_B": "event_time", "or_equal": True},
        "severity": "critical",
    },
    {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "temperature", "min_value": -40, "max_value": 60},
        "severity": "critical",
    },
    {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "session_s", "min_value": 0},
        "severity": "warning",
    },
    {
        "type": "expect_column_values_to_be_unique",
        "kwargs": {"column": "order_id"},
        "severity": "critical",
    },
)
"""Expectations, in Great Expectations' own words."""


def contract_of(day: int) -> Contract:
    """Return the contract of one partition: ingest refuses events of another day."""
    start = day_start(day)
    clock = CONTRACT.columns["event_time"].model_copy(
        update={"minimum": start.isoformat(), "maximum": (start + timedelta(days=1)).isoformat()}
    )
    return CONTRACT.model_copy(update={"columns": {**CONTRACT.columns, "event_time": clock}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One thing that a check said.

    Attributes:
        name: What it is called, such as "contract allowed", "drift ks", "trait padded", "repeated within".
        columns: Columns that it names; none for the table.
        verdict: "warn", "inconclusive" or "block".
        reason: Its words.
    """

    name: str
    columns: tuple[str, ...]
    verdict: Verdict
    reason: str


def alarms_of(findings: Iterable[Finding], columns: tuple[str, ...] = (), prefix: str = "") -> list[Alarm]:
    """Return the findings that do not pass as alarms; they name `columns` unless they say others."""
    return [
        Alarm(
            name=prefix + finding.check,
            columns=tuple(finding.numbers.get("columns", columns)),
            verdict=finding.verdict,
            reason=finding.reason,
        )
        for finding in findings
        if finding.verdict != "pass"
    ]
