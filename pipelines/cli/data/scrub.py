"""`penstock data scrub`: whether the copies in the cache of this host still are what they were."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resources.storage.cache.scrub import Scrub


def scrub(
    rate: Annotated[
        str, typer.Option("--rate", metavar="SIZE", help="Most bytes to read a second, as 100MB or 1GiB.")
    ] = "100MB",
    for_s: Annotated[
        float | None,
        typer.Option("--for-s", metavar="SECONDS", help="Begin no further copy after so long. Unset: look at all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Hash the copies in the cache of this host, the least recently verified first, and drop damaged ones.

    Readers go on meanwhile, and fetch what was dropped anew. Exit codes: 0 none was damaged; 1 some were.
    """
    from pipelines.cli.console import print_json
    from pipelines.cli.guard import DONE, ERROR
    from resources.settings import load_settings
    from resources.storage.cache.cache import HostCache
    from resources.storage.cache.pace import Pace
    from resources.storage.cache.scrub import scrub as scrubbing

    settings = load_settings()
    pace = Pace(rate_bytes_per_s=_rate(rate), for_s=_positive(for_s))
    found = scrubbing(HostCache(settings.cache, budget_bytes=settings.cache_bytes), pace)
    if as_json:
        print_json({"cache": str(settings.cache), **asdict(found)})
    else:
        _print(found)
    return ERROR if found.damaged else DONE


def _rate(text: str) -> int:
    from resources.errors import SettingsError
    from resources.settings import parse_bytes

    try:
        return parse_bytes("--rate", text)
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint="--rate") from None


def _positive(for_s: float | None) -> float | None:
    if for_s is not None and not for_s > 0:
        raise typer.BadParameter(f"give a number of seconds above 0, not {for_s:g}", param_hint="--for-s")
    return for_s


def _print(found: "Scrub") -> None:
    from resources.wording import size

    if found.busy:
        print("another process is scrubbing this cache: nothing was done")
        return
    for name in found.damaged:
        print(f"{name}: damaged, {'dropped' if name in found.dropped else 'in use: its next reader replaces it'}")
    left = f", {found.left:,} left for the next time" if found.left else ""
    print(
        f"{found.copies:,} cop{'y' if found.copies == 1 else 'ies'} verified, {size(found.read_bytes)} read: "
        f"{len(found.damaged) or 'none'} damaged, {len(found.dropped) or 'none'} dropped{left}"
    )
