"""Owns reproduction: a model made again from its own bundle, and in plain words what differs if it does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from resources.canonical import digest_bytes
from resources.errors import DeclarationError, PenstockError, StoreError
from resources.training.bundle import LINEAGE, Bundle, bundle_digest, read_bundle
from resources.training.environment import library_versions, lock_digest, training_code_version
from resources.training.train import Inputs, make_files
from resources.workspace import Workspace

_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came of making a model again.

    Attributes:
        equal: Whether the rebuilt bundle has the same digest, bit for bit.
        model_equal: Whether the model file alone is the same.
        expected: Digest of the recorded bundle.
        actual: Digest of the rebuilt one; empty when it could not be rebuilt.
        differences: What differs, one sentence each: surroundings first, then inputs, then files.
    """

    equal: bool
    model_equal: bool
    expected: str
    actual: str
    differences: tuple[str, ...]


def reproduce(workspace: Workspace, digest: str) -> Reproduction:
    """Train the model `digest` again from its recorded inputs and declaration, and compare; nothing is stored.

    Raises:
        SignatureError: If no trusted key signed the bundle.
        ObjectMissing: If there is no such bundle.
        IntegrityError: If the bundle was altered, or `digest` names something else.
    """
    bundle = read_bundle(workspace.store, digest, keyring=workspace.keyring)
    try:
        differences = tuple(_surroundings(bundle))
    except DeclarationError as error:
        reason = f"code version: this Penstock no longer accepts the recorded declaration: {error}"
        return _not_rebuilt(bundle, (reason,))
    inputs = Inputs(features=bundle.lineage["features"], raw=bundle.lineage["raw"])
    try:
        files = make_files(workspace.store, bundle.recipe, inputs)
    except StoreError as error:
        return _not_rebuilt(bundle, (*differences, f"input: {error}"))
    except PenstockError as error:
        return _not_rebuilt(bundle, (*differences, f"the model cannot be trained again: {error}"))
    actual = bundle_digest(files)
    return Reproduction(
        equal=actual == digest,
        model_equal=files.get(bundle.trainer.file) == bundle.model_file,
        expected=digest,
        actual=actual,
        differences=(*differences, *_files(bundle.files, files, explained=bool(differences))),
    )


def _surroundings(bundle: Bundle) -> Iterator[str]:
    lineage, recipe = bundle.lineage, bundle.recipe
    code, lock = training_code_version(recipe), lock_digest()
    if code != lineage["code_version"]:
        yield f"code version: trained by {lineage['code_version']}, the present code is {code}: check out its commit"
    if lock != lineage["lock_digest"]:
        yield (
            f"lock file: trained with {_short(lineage['lock_digest'])}, "
            f"the present requirements.lock is {_short(lock)}: install the packages it was trained with"
        )
    recorded: Mapping[str, str] = lineage["libraries"]
    present = library_versions(recipe.learner.libraries)
    for name in sorted(recorded.keys() | present.keys()):
        if recorded.get(name) != present.get(name):
            yield (
                f"library {name}: trained with {recorded.get(name)}, {present.get(name)} is installed: "
                "install the version it was trained with"
            )


def _files(recorded: Mapping[str, bytes], rebuilt: Mapping[str, bytes], *, explained: bool) -> Iterator[str]:
    for name in sorted(recorded.keys() | rebuilt.keys()):
        old, new = recorded.get(name), rebuilt.get(name)
        if old != new and not (name == LINEAGE and explained):
            yield f"file {name}: recorded {_digest(old)}, rebuilt {_digest(new)}"


def _not_rebuilt(bundle: Bundle, differences: tuple[str, ...]) -> Reproduction:
    return Reproduction(equal=False, model_equal=False, expected=bundle.digest, actual="", differences=differences)


def _digest(data: bytes | None) -> str:
    return "nothing" if data is None else digest_bytes(data)[:_SHORT]


def _short(digest: str) -> str:
    return digest[:_SHORT] or "none"
