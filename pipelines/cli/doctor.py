"""`penstock doctor`: what is broken or unsafe in this installation."""

import os
from typing import Annotated

import typer

from pipelines.cli.environment import prepare
from pipelines.cli.guard import BLOCKED, DONE


def doctor(
    everything: Annotated[bool, typer.Option("--all", "-a", help="Show what is in order too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> int:
    """Find what is broken or unsafe, each with its remedy.

    Exit codes: 0 nothing broken or unsafe; 3 something is, and is told.
    """
    from dataclasses import asdict

    from pipelines.cli.console import print_json
    from pipelines.cli.progress import progress

    given = dict(os.environ)  # before telemetry is silenced for this process: other tools see what the user has set
    prepare()
    from pipelines.doctor import diagnose, is_healthy

    environment = {**given, "DAGSTER_HOME": os.environ["DAGSTER_HOME"]}
    with progress(0, quiet=as_json) as shown:
        findings = diagnose(environment=environment, progress=lambda name: shown.doing("", name))
    if as_json:
        print_json([asdict(finding) for finding in findings])
        return DONE if is_healthy(findings) else BLOCKED
    for finding in findings:
        if everything or finding.level != "ok":
            print(f"{finding.level:<7} {finding.what}")
            if finding.remedy:
                print(f"        remedy: {finding.remedy}")
    bad = sum(finding.level in ("unsafe", "broken") for finding in findings)
    print(
        f"{len(findings)} checks, {bad} of them found something broken or unsafe."
        if bad
        else f"{len(findings)} checks, all is well."
    )
    return DONE if is_healthy(findings) else BLOCKED
