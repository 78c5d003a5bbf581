"""Owns one finding of the doctor: how bad, what, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "unsafe", "broken"]
"""note: works, but look at it; unsafe: somebody else could read, alter or run something; broken: does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the doctor looked at.

    Attributes:
        level: How bad it is.
        what: What was found, with the value.
        remedy: What to do about it; empty only if all is well.
    """

    level: Level
    what: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if (self.level == "ok") == bool(self.remedy):
            raise ValueError(f"a finding has a remedy unless it is ok: {self.level}, {self.what!r}, {self.remedy!r}")


def of(error: BaseException, *, remedy: str, level: Level = "broken") -> Finding:
    """Return the finding that `error` is."""
    return Finding(level, f"{error or type(error).__name__}", remedy)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Return whether nothing is unsafe or broken; notes are healthy."""
    return all(finding.level in ("ok", "note") for finding in findings)
