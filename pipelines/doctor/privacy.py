"""Owns the checks that nothing is reported to anyone: Dagster, Great Expectations, DVC."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.doctor.finding import Finding
from resources.settings import PROJECT_ROOT

Environment = Mapping[str, str]
_FALSE = ("", "0", "false", "no", "off", "f", "n")


def dagster(environment: Environment) -> list[Finding]:
    """Look at DAGSTER_HOME and the telemetry setting of the dagster.yaml in it."""
    set_it = f"export DAGSTER_HOME={PROJECT_ROOT}"
    home = environment.get("DAGSTER_HOME")
    if not home:
        what = "DAGSTER_HOME is not set: plain `dagster` commands forget their runs and telemetry is on by default"
        return [Finding("note", what, f"{set_it} (penstock and make do it themselves)")]
    file = Path(home) / "dagster.yaml"
    if not Path(home).is_absolute() or not file.is_file():
        return [
            Finding("broken", f"DAGSTER_HOME={home} is not an absolute path of a folder with a dagster.yaml", set_it)
        ]
    if _setting(file, "telemetry") is not False:
        return [
            Finding("unsafe", f"{file} leaves Dagster's telemetry on", f"add `telemetry: {{enabled: false}}` to {file}")
        ]
    return [Finding("ok", f"DAGSTER_HOME is {home}, telemetry is off")]


def great_expectations(environment: Environment) -> list[Finding]:
    """Look at what would let Great Expectations talk to its makers."""
    findings: list[Finding] = []
    if environment.get("GX_ANALYTICS_ENABLED", "").lower() not in _FALSE:
        what = f"GX_ANALYTICS_ENABLED={environment['GX_ANALYTICS_ENABLED']} allows Great Expectations to report usage"
        findings.append(Finding("unsafe", what, "export GX_ANALYTICS_ENABLED=false"))
    if environment.get("GX_CLOUD_ACCESS_TOKEN"):
        what = (
            "GX_CLOUD_ACCESS_TOKEN is set: code that opens a Great Expectations context of its own sends results there"
        )
        findings.append(Finding("note", what, "unset GX_CLOUD_ACCESS_TOKEN unless that is meant"))
    return findings or [Finding("ok", "Great Expectations reports nothing")]


def dvc(environment: Environment) -> list[Finding]:
    """Look in the configuration of DVC whether its commands would report usage."""
    if environment.get("DVC_NO_ANALYTICS"):
        return [Finding("ok", "DVC reports nothing (DVC_NO_ANALYTICS)")]
    if not _dvc_reports():
        return [Finding("ok", "DVC reports nothing (core.analytics)")]
    what = "`dvc` commands report usage to their makers; Penstock itself runs none"
    return [Finding("note", what, "dvc config --global core.analytics false, or export DVC_NO_ANALYTICS=1")]


def _dvc_reports() -> bool:
    from dvc.config import Config

    return str(Config.from_cwd(validate=False).get("core", {}).get("analytics", True)).lower() not in _FALSE


def _setting(file: Path, name: str) -> Any:  # Any: whatever the YAML holds
    import yaml

    try:
        section = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get(name)
    except (yaml.YAMLError, OSError, AttributeError):
        return None
    return section.get("enabled") if isinstance(section, dict) else None


PRIVACY: Mapping[str, Callable[[Environment], list[Finding]]] = {
    "Dagster telemetry": dagster,
    "Great Expectations analytics": great_expectations,
    "DVC analytics": dvc,
}
