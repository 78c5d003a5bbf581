"""Owns the values that pass between stages, and the one of an imported folder: references, never tables.

Each is frozen, small, and reads back from its own JSON. `digest` identifies the content and is the Dagster
data version, so equal digests mean equal content on any machine.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from resources.canonical import DIGEST_LENGTH, digest_value
from resources.errors import IntegrityError

Verdict = Literal["pass", "warn", "inconclusive", "block"]
VERDICTS: tuple[Verdict, ...] = ("pass", "warn", "inconclusive", "block")
"""From good to bad; only the first two may be deployed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRef:
    """Names one immutable dataset version.

    Attributes:
        digest: Digest of the manifest: schema and ordered shards, nothing of where it came from.
        location: URL of the store that holds it, without credentials.
        schema_fingerprint: Digest of the Arrow schema.
        rows: Number of rows.
        size_bytes: Bytes of all shards together.
        partitions: Partition keys whose rows it holds; empty for an unpartitioned dataset.
        profile_digest: Object that holds the column profile, or None.
        quarantine_digest: Dataset of the rows that the contract rejected, or None.
        report_digest: Object that holds the ingest report (rows read, rejected, reasons), or None.
    """

    digest: str
    location: str
    schema_fingerprint: str
    rows: int
    size_bytes: int
    partitions: tuple[str, ...] = ()
    profile_digest: str | None = None
    quarantine_digest: str | None = None
    report_digest: str | None = None

    def __post_init__(self) -> None:
        _check_digest(self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Names one immutable model bundle.

    Attributes:
        digest: Digest of the bundle's manifest.
        location: URL of the store that holds it, without credentials.
        trainer: Name of the trainer that made it.
        training_digests: Partition key to digest of every dataset it was trained on.
        code_version: Version of the training code.
        parameters: Trainer parameters as given.
        seed: Seed of every random choice.
    """

    digest: str
    location: str
    trainer: str
    training_digests: Mapping[str, str]
    code_version: str
    parameters: Mapping[str, Any]  # Any: JSON values, given by the user
    seed: int

    def __post_init__(self) -> None:
        _check_digest(self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """A signed judgement of one challenger on one set of unseen rows.

    The digest covers every field but the signature and the key's name, and holds no clock: the same inputs give the
    same report.

    Attributes:
        pipeline: Name of the pipeline.
        partition: Key of the judged partition; empty for an unpartitioned pipeline.
        verdict: pass, warn, inconclusive or block.
        reasons: Why, in plain words, the deciding one first.
        challenger: Digest of the judged model bundle.
        champion: Digest of the model it was compared with, or None.
        inputs: Name to digest of everything the judgement read.
        gate: The declared gate: metric, margin, limits, confidence.
        measurements: Metrics with intervals, per model and slice; comparisons with limits.
        signature: Hex of the ed25519 signature over the digest.
        key_id: First 16 hex digits of the digest of the signing public key.
    """

    pipeline: str
    partition: str
    verdict: Verdict
    reasons: tuple[str, ...]
    challenger: str
    champion: str | None
    inputs: Mapping[str, str]
    gate: Mapping[str, Any]  # Any: JSON values
    measurements: Mapping[str, Any]  # Any: JSON values
    signature: str = ""
    key_id: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}, got {self.verdict!r}")

    @property
    def digest(self) -> str:
        """Digest of the report without its signature."""
        value = asdict(self)
        del value["signature"], value["key_id"]
        return digest_value(value)

    @property
    def headline(self) -> str:
        """Verdict and deciding reason, in one line."""
        first = self.reasons[0] if self.reasons else "no rule spoke"
        return first if first.startswith(self.verdict) else f"{self.verdict}: {first}"

    @property
    def may_deploy(self) -> bool:
        """Whether the verdict allows promotion."""
        return self.verdict in ("pass", "warn")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRef:
    """Names one immutable version of a folder of raw files.

    Attributes:
        digest: Digest of its manifest.
        location: URL of the store that holds it, without credentials.
        files: How many files it holds.
        size_bytes: Their bytes.
    """

    digest: str
    location: str
    files: int
    size_bytes: int

    def __post_init__(self) -> None:
        _check_digest(self.digest)


Ref = DatasetRef | ModelRef | GateReport | FolderRef
_KINDS: dict[str, type[Ref]] = {
    "dataset": DatasetRef,
    "model": ModelRef,
    "report": GateReport,
    "folder": FolderRef,
}


def to_json(ref: Ref) -> dict[str, Any]:
    """Return `ref` as a JSON value that `from_json` reads back."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(ref, cls))
    return {"kind": kind, **asdict(ref)}


def from_json(value: Mapping[str, Any]) -> Ref:
    """Return the reference that `to_json` wrote.

    Raises:
        IntegrityError: If `value` is not such a reference.
    """
    fields: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    try:
        return _KINDS[fields.pop("kind")](**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"not a hand-over value: {error}; materialize the asset that wrote it again") from error


def digests_of(ref: Ref) -> tuple[str, ...]:
    """Return the digests of the version that `ref` names and of the objects beside it, its own first."""
    if isinstance(ref, DatasetRef):
        beside = (ref.profile_digest, ref.quarantine_digest, ref.report_digest)
        return (ref.digest, *(digest for digest in beside if digest is not None))
    return (ref.digest,)


def sources_of(ref: Ref) -> tuple[str, ...]:
    """Return the digests that `ref` says it was made from: training data of a model, inputs of a report."""
    if isinstance(ref, DatasetRef | FolderRef):
        return ()
    return tuple((ref.training_digests if isinstance(ref, ModelRef) else ref.inputs).values())


def _check_digest(digest: str) -> None:
    if len(digest) != DIGEST_LENGTH:
        raise ValueError(f"digest must be {DIGEST_LENGTH} hex digits, got {digest!r}")
