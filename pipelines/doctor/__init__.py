"""Owns the examination behind `penstock doctor`: what is broken or unsafe here, each with its remedy.

It changes nothing but one probe object in the store, which it removes again. It never raises: what a check meets is
its finding. Printing is the CLI's.
"""

import os
from collections.abc import Callable, Mapping
from typing import cast

from pipelines.doctor.finding import Finding, Level, is_healthy, of
from pipelines.doctor.installation import INSTALLATION
from pipelines.doctor.privacy import PRIVACY
from pipelines.doctor.runs import RUNS
from pipelines.doctor.safety import SAFETY
from pipelines.doctor.state import STATE
from resources.errors import PenstockError
from resources.settings import Settings, load_settings

__all__ = ["Finding", "Level", "diagnose", "is_healthy"]


def diagnose(
    settings: Settings | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Return what every check found, the healthy ones too, in the order of the checks.

    Args:
        settings: Settings to examine; read from `environment` by default, and a finding if they cannot be read.
        environment: Environment variables to examine, those of this process by default.
        progress: Called with the name of each check before it runs; some take seconds.
    """
    variables = os.environ if environment is None else environment
    findings: list[Finding] = []
    if settings is None:
        progress("settings")
        settings, finding = _read_settings(variables)
        findings.append(finding)
    for name, check in {**INSTALLATION, **PRIVACY, **SAFETY, **RUNS}.items():
        progress(name)
        findings += check(variables)
    for name, check in STATE.items() if settings is not None else ():
        progress(name)
        findings += check(cast(Settings, settings))
    return findings


def _read_settings(environment: Mapping[str, str]) -> tuple[Settings | None, Finding]:
    try:
        settings = load_settings(environment)
    except PenstockError as error:
        return None, of(error, remedy="correct the variable, docs/settings.md lists them; then run this again")
    given = sorted(name for name in environment if name.startswith("PENSTOCK_"))
    return settings, Finding("ok", f"settings: {', '.join(given) if given else 'all at their defaults'}")
