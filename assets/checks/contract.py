"""Owns the check by a contract, and what rejected rows tell Dagster."""

from collections.abc import Mapping
from typing import Unpack

import dagster as dg

from assets.checks.building import Asset, CheckOptions, Defaults, Look, build_check
from assets.checks.rows import table_of
from assets.metadata import reasons_picture
from assets.told import Told
from quality.contract import Contract, split
from resources.errors import ContractError


def contract_check(asset: Asset, *, contract: Contract, **options: Unpack[CheckOptions]) -> dg.AssetChecksDefinition:
    """Build the check that rows are what a contract says; more broken rows than `max_rejected` block.

    It changes nothing: broken rows are counted and shown, not taken out. Columns or types that are not the
    contract's block too.

    Args:
        asset: Asset that is checked, or its key.
        contract: What rows must be.
        options: See `CheckOptions`.
    """

    def judge(look: Look) -> Told:
        import polars as pl

        frame = look.frame()
        try:
            found = split(table_of(frame), contract)
        except ContractError as error:
            return Told(verdict="block", reason=str(error), shown={"rows": frame.height})
        reasons, kept = dict(found.reasons), found.kept.num_rows
        if contract.unique:
            keys = pl.DataFrame(found.kept.select(list(contract.unique)))
            repeated = keys.height - keys.n_unique() if keys.height else 0
            reasons |= {f"repeats the key ({', '.join(contract.unique)})": repeated} if repeated else {}
            kept -= repeated
        return of_rejected(
            rows=frame.height, rejected=frame.height - kept, limit=contract.max_rejected, reasons=reasons
        )

    defaults = Defaults(
        name="contract", description="Share of rows that break the contract is within its limit.", blocking=True
    )
    return build_check(asset, judge, defaults, options)


def of_rejected(*, rows: int, rejected: int, limit: float, reasons: Mapping[str, int]) -> Told:
    """Return what broken rows tell.

    Args:
        rows: Rows looked at.
        rejected: Rows that break the contract.
        limit: Largest tolerated share of them.
        reasons: Broken rule to number of rows.
    """
    share = rejected / rows if rows else 0.0
    shown = {"rows": rows, "rows_rejected": rejected, "rejected_share": share, "max_rejected": limit}
    drawn = {"reasons": dg.MetadataValue.md(reasons_picture(reasons))} if reasons else {}
    return Told(
        verdict="block" if share > limit else "pass",
        reason=f"{rejected:,} of {rows:,} rows rejected ({share:.3%}; tolerated {limit:.3%})",
        shown={**shown, **drawn},
    )
