"""Owns the expectations that Great Expectations' own pandas engine judges, on a frame of only the columns they name."""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from quality.suites.arguments import COMMON_ARGUMENTS
from quality.suites.declared import columns_of
from quality.suites.plain import plain
from quality.suites.source import Source
from quality.wording import type_name
from resources.errors import ContractError, DeclarationError

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]  # Any: JSON values


def judged_by_pandas(
    source: Source, entries: Mapping[int, Mapping[str, Any]], result_format: object
) -> dict[int, Json]:
    """Return the library's own result of each expectation, by place in the suite.

    Raises:
        DeclarationError: If an argument is wrong, or an expectation cannot be evaluated on these data.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():  # the library uses modules that Python and pandas deprecate
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.exceptions.exceptions import GreatExpectationsError

        context: Any = gx.get_context(mode="ephemeral")  # Any: its own annotations are wrong
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("penstock").add_dataframe_asset("data")
        frame = named_columns(source, list(entries.values()))
        batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
        configs = [configuration(place, entry) for place, entry in entries.items()]
        suite = gx.ExpectationSuite(name="suite", expectations=configs)
        try:
            found = batch.validate(suite, result_format=result_format).results
        except GreatExpectationsError as error:  # such as a parameter that has no value
            raise DeclarationError(f"the suite cannot be evaluated: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:  # nested arguments that it does not check itself
            told = f"{type(error).__name__} {error}"
            raise DeclarationError(f"the suite cannot be evaluated: an argument has another form ({told})") from error
        results = {int(item.expectation_config.id): _json(item) for item in found}
    for place, result in results.items():
        _refuse_exception(place, entries[place], result.get("exception_info") or {})
    return results


def named_columns(source: Source, entries: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """Return the columns that expectations name, as pandas has them."""
    named = {name for entry in entries for name in columns_of(entry)}
    # A condition on other columns is text or a nested object: a column counts as named where its name occurs in it.
    conditions = str([entry.get("kwargs", {}).get("row_condition") for entry in entries])
    needed = [name for name in source.schema if name in named or name in conditions]
    import pandas as pd

    if not needed:
        return pd.DataFrame(index=range(source.rows))
    frame: Any = source.frame.select(needed).collect(engine="streaming")
    try:
        return frame.to_arrow().to_pandas()
    except (ValueError, TypeError, pl.exceptions.PanicException):  # ArrowInvalid is a ValueError
        raise _no_pandas(frame, entries) from None


def _no_pandas(frame: pl.DataFrame, entries: Sequence[Mapping[str, Any]]) -> ContractError:
    """Return the error that names the column of which pandas cannot take the values."""
    for column in frame:
        try:
            column.to_frame().to_arrow().to_pandas()
        except (ValueError, TypeError, pl.exceptions.PanicException) as error:
            told = str(error).strip().splitlines()[0]
            rules = ", ".join(sorted({entry["type"] for entry in entries if column.name in columns_of(entry)}))
            return ContractError(
                f"column {column.name!r}, {type_name(column.dtype)}, has values that the pandas engine cannot take "
                f"({told}): cast it, or leave out what only that engine judges{f', {rules}' if rules else ''}"
            )
    return ContractError(
        f"columns {', '.join(frame.columns)} cannot be handed to the pandas engine together: cast them"
    )


def configuration(place: int, entry: Mapping[str, Any]) -> Json:
    """Return the library's configuration of an expectation, with its place in the suite as its id.

    Results come in another order than the suite's, failed evaluations first: the id tells which is whose.
    """
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    kept = {key: value for key, value in entry.items() if key not in ("rendered_content", "windows")}
    kwargs = {key: value for key, value in entry.get("kwargs", {}).items() if key not in COMMON_ARGUMENTS}
    config: Json = {"severity": "critical", **kept, "kwargs": kwargs, "id": str(place)}
    try:
        ExpectationConfiguration(**config).to_domain_obj()
    except ValueError as error:  # pydantic's: a header line, then name and message of each wrong argument in turn
        wrong = ": ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise DeclarationError(f"expectation {place}, {entry['type']}: {wrong}") from error
    except (KeyError, TypeError, AttributeError) as error:  # the library's own checks of nested arguments
        told = f"{type(error).__name__} {error}"
        raise DeclarationError(
            f"expectation {place}, {entry['type']}: an argument has another form ({told})"
        ) from error
    return config


def _json(item: Any) -> Json:  # Any: the library's result
    """Return a result as JSON; the library's own conversion fails on intervals of time."""
    return {
        "success": bool(item.success),
        "result": plain(item.result or {}),
        "exception_info": plain(item.exception_info or {}),
    }


def _refuse_exception(place: int, entry: Mapping[str, Any], info: Mapping[str, Any]) -> None:
    # One exception of the expectation, or one for each metric that it needs.
    for found in (info,) if "raised_exception" in info else info.values():
        if found["raised_exception"]:
            about = ", ".join(columns_of(entry))
            told = str(found["exception_message"]).strip().splitlines()[0]
            raise DeclarationError(
                f"expectation {place}, {entry['type']}{f' on {about}' if about else ''}, cannot be evaluated: {told}"
            )
