"""The data contract: what rows must be, and which of them are not."""

from quality.contract.spec import Column, Contract

__all__ = ["Column", "Contract"]
