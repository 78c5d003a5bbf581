"""The data contract: what rows must be, and which of them are not."""

from quality.contract.columns import check_columns, check_schema
from quality.contract.rows import Split, conform, split
from quality.contract.spec import Column, Contract

__all__ = ["Column", "Contract", "Split", "check_columns", "check_schema", "conform", "split"]
