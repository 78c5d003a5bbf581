"""Owns the report of one ingest: what was read, kept and rejected, and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from resources.errors import IntegrityError


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What came of the rows of one source file. It holds no clock: the same file gives the same report.

    Attributes:
        rows_read: All records of the file.
        rows_kept: Rows of the snapshot.
        rows_rejected: Rows in quarantine.
        rows_outside: Rows of other partitions in the same file.
        rows_unplaced: Rejected rows without a readable event time. They are in the quarantine of every partition that
            the times of their nearest readable neighbours span.
        reasons: Broken rule to number of rows, most frequent first; a row may break several.
        max_rejected: Largest tolerated share of rejected rows.
        source_url: File that was read, without credentials.
        source_digest: Digest of its bytes as they lie there.
        oldest: Earliest event time of the kept rows, ISO 8601 UTC, or None.
        newest: Latest event time of the kept rows, ISO 8601 UTC, or None.
        sample: Whether the file is a generated look-alike, not the real data.
    """

    rows_read: int
    rows_kept: int
    rows_rejected: int
    rows_outside: int
    rows_unplaced: int
    reasons: Mapping[str, int]
    max_rejected: float
    source_url: str
    source_digest: str
    oldest: str | None
    newest: str | None
    sample: bool

    @property
    def rejected_share(self) -> float:
        """Share of rejected rows among those of the partition."""
        return self.rows_rejected / max(1, self.rows_kept + self.rows_rejected)

    @property
    def blocked(self) -> bool:
        """Whether more rows were rejected than the contract tolerates."""
        return self.rejected_share > self.max_rejected

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the report as a JSON value that `from_json` reads back."""
        return {**asdict(self), "reasons": [[rule, rows] for rule, rows in self.reasons.items()]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "IngestReport":  # Any: JSON values
        """Return the report that `to_json` wrote.

        Raises:
            IntegrityError: If `value` is no such report.
        """
        try:
            fields: dict[str, Any] = {**value}  # Any: as above
            fields["reasons"] = dict(fields["reasons"])
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"not an ingest report: {error}; materialize the partition again") from error
