"""Owns the model bundle: a handful of small files and the manifest that names them by digest.

The digest of the manifest is the version of the model. A bundle holds everything that scoring and reproduction
need, and no pickle. It says nothing about whether the model is good.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.canonical import digest_bytes, parse_json
from resources.errors import DeclarationError, IntegrityError, TrainingError
from resources.signing import Keyring, Signer, sign_object, verify_object
from resources.storage.content import describe_bytes
from resources.storage.files import get_bytes, put_bytes
from resources.storage.garbage.guard import deletions, note_whole, settle
from resources.storage.garbage.walk import LINEAGE_FILE, file_keys
from resources.storage.objects import put_object
from resources.storage.store import Store
from resources.storage.versions import bundle_files, encode_bundle
from resources.training.protocol import Predictor, Trainer, trainer_named
from resources.transform.fitted import FittedTransform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resources.training.recipe import TrainingRecipe

KIND = "model"
"""What a bundle is signed as."""
TRANSFORM, SCHEMA, PROFILE, LINEAGE, DECLARATION = (
    "transform.json",
    "schema.json",
    "profile.json",
    LINEAGE_FILE,
    "declaration.json",
)


class Bundle:
    """One model that can score raw rows; its parts are read when first asked for.

    Args:
        digest: Digest of the manifest.
        files: File name to its bytes, verified.
    """

    def __init__(self, digest: str, files: Mapping[str, bytes]) -> None:
        self.digest = digest
        self.files = files

    @cached_property
    def transform(self) -> FittedTransform:
        """The fitted transform."""
        return FittedTransform.from_json(self._json(TRANSFORM))

    @cached_property
    def schema(self) -> Mapping[str, Any]:
        """The input contract, feature names, label, task and trainer."""
        return self._json(SCHEMA)

    @cached_property
    def lineage(self) -> Mapping[str, Any]:
        """What the model was made of: digests, versions, parameters, seed."""
        return self._json(LINEAGE)

    @cached_property
    def profile(self) -> Mapping[str, Any]:
        """The profile of the training data, as `quality.profile` writes it."""
        return self._json(PROFILE)

    @cached_property
    def contract(self) -> Mapping[str, Any]:
        """The data contract of a raw row, as JSON."""
        return self.schema["contract"]

    @cached_property
    def recipe(self) -> "TrainingRecipe":
        """The declaration that the model was trained by."""
        from resources.training.recipe import TrainingRecipe

        return TrainingRecipe.parse(self._json(DECLARATION))

    @property
    def trainer(self) -> Trainer:
        """The trainer that wrote the model file."""
        try:
            return trainer_named(self.schema["trainer"])
        except DeclarationError as error:
            raise TrainingError(f"bundle {self.digest[:12]}: {error}; upgrade Penstock") from None

    @property
    def model_file(self) -> bytes:
        """The model, in its trainer's format."""
        return self._file(self.trainer.file)

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded model."""
        return self.trainer.load(self.model_file)

    def predict_raw(self, raw: pl.LazyFrame) -> "NDArray[np.float64]":
        """Return one number for each raw row: the prediction, or the probability of 1.

        Args:
            raw: Rows typed by the contract; the label may be missing. For windows such as `LAG` it must hold the
                earlier rows too.

        Raises:
            ContractError: If a column is missing that an expression reads, or a value cannot be computed.
        """
        return self.predict_rows(self.transform.rows(raw))

    def predict_rows(self, rows: pl.LazyFrame) -> "NDArray[np.float64]":
        """Return one number for each row of row-wise columns, such as a features dataset holds."""
        return self.predictor.predict(self.transform.matrix(rows))

    def importance(self) -> dict[str, float]:
        """Return each feature's share of importance, largest first."""
        return self.trainer.importance(self.model_file, self.transform.output)

    def _json(self, name: str) -> dict[str, Any]:  # Any: JSON values
        return parse_json(self._file(name))

    def _file(self, name: str) -> bytes:
        if name not in self.files:
            raise IntegrityError(f"bundle {self.digest[:12]} has no {name}: train the model again")
        return self.files[name]


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """Return the digest that a bundle of `files` has, storing nothing."""
    return digest_bytes(encode_bundle({name: describe_bytes(data)[0] for name, data in files.items()}))


def write_bundle(store: Store, files: Mapping[str, bytes], *, signer: Signer | None = None) -> str:
    """Store a bundle, its manifest last, and return its digest.

    Args:
        store: Where it goes.
        files: File name to bytes.
        signer: Signs the bundle; None leaves it unsigned.

    Raises:
        ConflictError: If a file was deleted as garbage since it was stored.
    """
    before = deletions(store)
    stored = {name: put_bytes(store, data) for name, data in files.items()}
    # A file that was there already may be garbage that waits for its end.
    settled = settle(store, lambda: [key for file in stored.values() for key in file_keys(file)], since=before)
    digest = put_object(store, encode_bundle(stored))
    note_whole(store, digest, settled)
    if signer is not None:
        sign_object(store, KIND, digest, signer)
    return digest


def read_bundle(store: Store, digest: str, *, keyring: Keyring | None = None) -> Bundle:
    """Return the bundle `digest`, every file of it verified.

    Args:
        store: Where it lies.
        digest: Digest of its manifest.
        keyring: Keys of which one must have signed it; None reads an unsigned bundle too.

    Raises:
        SignatureError: If no key of `keyring` signed it.
        ObjectMissing: If the manifest or a file is not there.
        IntegrityError: If the manifest or a file was altered, or `digest` names no bundle.
    """
    if keyring is not None:
        verify_object(store, KIND, digest, keyring)
    files = {name: get_bytes(store, file) for name, file in bundle_files(store, digest).items()}
    return Bundle(digest, files)
