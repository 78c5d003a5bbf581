"""Owns the report of one partition: what its stages hold, what each check said of them, with numbers and pictures.

It is a value, as JSON and (`quality.report_page`) as one page; it neither measures nor judges.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from quality.verdicts import Verdict, worst

Kind = Literal["number", "text", "markdown", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that is shown.

    Attributes:
        name: What it is, in words or under a stable key.
        kind: How it is shown: a Markdown text may hold a table or a picture.
        value: A number, a text, or a JSON value, by its kind.
    """

    name: str
    kind: Kind
    value: Any  # Any: a JSON value

    @property
    def is_picture(self) -> bool:
        """Whether it holds a picture."""
        return self.kind == "markdown" and "](data:image/" in self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one stage holds, or what one check said of it.

    Attributes:
        stage: Name of the stage.
        check: Name of the check; empty for the stage itself.
        verdict: What the check said; None for the stage itself.
        reason: Why, in plain words.
        digest: Data version of the stage that it is about.
        at: When it was written, ISO 8601, UTC.
        run_id: The run that wrote it.
        entries: What is shown of it.
    """

    stage: str
    check: str
    verdict: Verdict | None
    reason: str
    digest: str
    at: str
    run_id: str
    entries: tuple[Entry, ...]

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the section as a JSON value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Section":
        """Return the section that `to_json` gave; what is beside it is left out.

        Raises:
            KeyError: If a part is missing.
        """
        named = {name: value[name] for name in cls.__slots__ if name != "entries"}
        return cls(**named, entries=tuple(Entry(**entry) for entry in value["entries"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The sections of one partition, stages in their order.

    Attributes:
        pipeline: Name of the pipeline.
        partition: Key of the partition; empty without time partitions.
        registry: Name of the registry.
        sections: A stage first, then its checks.
    """

    pipeline: str
    partition: str
    registry: str
    sections: tuple[Section, ...]

    @property
    def checks(self) -> tuple[Section, ...]:
        """The sections of checks."""
        return tuple(section for section in self.sections if section.check)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the checks that looked at the latest data."""
        return worst(section.verdict for section in self.checks if section.verdict and not self.is_outdated(section))

    def is_outdated(self, section: Section) -> bool:
        """Return whether a check looked at another version of its stage than the one that is there."""
        latest = {item.stage: item.digest for item in self.sections if not item.check}
        return latest.get(section.stage, section.digest) != section.digest

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the report as a JSON value, with its verdict."""
        sections = [{**section.to_json(), "outdated": self.is_outdated(section)} for section in self.sections]
        return {
            "pipeline": self.pipeline,
            "partition": self.partition,
            "registry": self.registry,
            "verdict": self.verdict,
            "sections": sections,
        }


def in_order(sections: Iterable[Section], stages: Sequence[str]) -> tuple[Section, ...]:
    """Return sections by stage, each stage before its checks, and the checks that object before the others.

    Args:
        sections: In any order.
        stages: Names of the stages in theirs.
    """
    severity = {"block": 0, "inconclusive": 1, "warn": 2, "pass": 3}
    return tuple(
        sorted(
            sections,
            key=lambda item: (
                stages.index(item.stage) if item.stage in stages else len(stages),
                bool(item.check),
                severity.get(item.verdict or "pass", 3),
                item.check,
            ),
        )
    )
