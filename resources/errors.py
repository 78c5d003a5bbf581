"""The one error tree of Penstock; every message names the value, the expectation and the remedy.

PenstockError
├── DeclarationError      a pipeline is declared wrongly
├── SourceError           a raw file is missing, unreadable or not what was declared
├── ContractError         rows or columns break the data contract
├── StoreError            the store cannot be read or written
│   ├── ObjectMissing     no object under that key or digest
│   ├── IntegrityError    bytes do not match their digest
│   └── ConflictError     another writer was first
├── SignatureError        a signature is missing, foreign or false
├── LoaderError           samples cannot be loaded
├── TrainingError         a model cannot be fitted, loaded or reproduced
├── GateError             `deploy` refuses a model
└── SettingsError         a setting is missing, malformed or unsafe

A failed check or a blocked gate is a value (a verdict), never an exception.
"""


class PenstockError(Exception):
    """Base of every error that Penstock raises on purpose."""


class DeclarationError(PenstockError, ValueError):
    """A pipeline is declared wrongly.

    It is a `ValueError` too, so that pydantic validators may raise it.
    """


class SourceError(PenstockError):
    """A raw file is missing, unreadable, or not what the declaration says."""


class ContractError(PenstockError):
    """Rows or columns break the data contract."""


class StoreError(PenstockError):
    """The store cannot be read or written."""


class ObjectMissing(StoreError):
    """No object lies under that key or digest."""


class IntegrityError(StoreError):
    """Stored bytes do not match the digest that names them."""


class ConflictError(StoreError):
    """Another writer moved the same ref or alias first."""


class SignatureError(PenstockError):
    """A signature is missing, made by an unknown key, or false."""


class LoaderError(PenstockError):
    """Samples cannot be loaded: the data, or how they are asked for, do not allow it."""


class TrainingError(PenstockError):
    """A model cannot be fitted, loaded or reproduced."""


class GateError(PenstockError):
    """`deploy` refuses a model."""


class SettingsError(PenstockError):
    """A setting is missing, malformed or unsafe."""
