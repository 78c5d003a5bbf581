"""What each stage of `synthetic_clicks` costs at 5,000,000 rows a partition, and how near its models get to the truth.

    python benchmarks/clicks.py [--quick] [--json FILE] [--rows N] [--months N]

Each stage, with its checks, runs in a process of its own: wall and CPU seconds of the stage without the start of the
process, and the largest resident memory of the process. The generator knows the true probability of every click, so the
log loss of each model stands beside the least that is possible, the Bayes log loss. Needs no network.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from _report import Row, compared, measured, parser, report

ROOT = Path(__file__).resolve().parents[1]
ROWS, QUICK_ROWS = 5_000_000, 100_000
MEMORY_GB = 12
"""Of a machine with 16 GB, the rest is for everything else."""
MODELS = ("challenger", "champion", "baseline")

STAGE = """
import json, sys
sys.path.append("benchmarks")
from _usage import peak_rss_bytes, timed
from pipelines.catalog.synthetic_clicks import synthetic_clicks
from pipelines.planning import Step
from pipelines.running import Runner, open_instance
from pipelines.summary import summarise
from resources.settings import load_settings
from resources.source.sample import partition_file
from resources.workspace import open_workspace

stage, partition = sys.argv[1:]
settings = load_settings()
outcomes = []
if stage == "generate":
    cost = timed(lambda: partition_file(synthetic_clicks.ingest.source, settings.scratch, partition))
else:
    workspace = open_workspace(settings)
    with open_instance() as instance:
        runner = Runner(synthetic_clicks, workspace, instance, force=False, quiet=True)
        runner.job
        step = Step(partition=partition, stages=(stage,))
        cost = timed(lambda: outcomes.extend(runner.run([step], lambda *_: None)))
told = {"status": "done", "judged": [], **cost, "peak_bytes": peak_rss_bytes()}
for outcome in outcomes:
    told |= {"status": outcome.status, "reasons": outcome.reasons}
    told["checks"] = [[check.name, check.passed] for check in outcome.checks]
if stage == "evaluation":
    told["judged"] = summarise(workspace, "synthetic_clicks", [partition]).to_json()["judged"]
print(json.dumps(told))
"""


def stage(name: str, month: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run one stage of a month and return what it cost and told; stop if it fails."""
    command = [sys.executable, "-c", STAGE, name, month]
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"status": "failed"}
    if told["status"] == "failed":
        sys.exit(f"{name} of {month} failed: {told.get('reasons', '')}\n{done.stderr[-3000:]}")
    print(f"  {month} {name}: {told}", file=sys.stderr)
    return told


def costs(work: str, subject: str, told: Mapping[str, Any]) -> Iterator[Row]:
    """Tell what a stage cost."""
    yield measured(f"{work}, wall", subject, told["wall_s"], "s")
    yield measured(f"{work}, CPU", subject, told["cpu_s"], "s")
    yield measured(f"{work}, peak memory", subject, told["peak_bytes"] / 1e9, "GB", most=MEMORY_GB)


def losses(month: str, told: Mapping[str, Any], least: float) -> Iterator[Row]:
    """Tell the log loss of each model that was judged on a month beside the least that is possible."""
    for judged in told["judged"]:
        for model in MODELS:
            if found := judged["metrics"].get(model):
                yield compared(
                    f"log loss of 10,000 rows of {month}", model, found["log_loss"]["value"] * 1e4, "nats",
                    peer="the true probabilities", peer_value=least * 1e4,
                )  # fmt: skip


def months(environment: Mapping[str, str], home: Path, rows: int, count: int) -> Iterator[Row]:
    """Run the stages of some months, of the last one each measured."""
    from pipelines.samples.synthetic_clicks import truth_of

    keys = [f"2025-{number:02d}" for number in range(1, count + 1)]
    for month in keys:
        told: dict[str, dict[str, Any]] = {}
        for name in (
            "generate",
            "raw",
            "features",
            *(("model", "evaluation", "deployment") if month != keys[0] else ()),
        ):
            if name != "deployment" or told["evaluation"]["status"] == "done":
                told[name] = stage(name, month, environment)
        (file,) = home.glob(f"scratch/samples/*/{month}.parquet")
        if "evaluation" in told:
            yield from losses(month, told["evaluation"], truth_of(file).drawn_log_loss)
        if month == keys[-1]:
            for name, one in told.items():
                yield from costs(f"{name} of {rows:,} rows", "penstock", one)


def main(arguments: argparse.Namespace) -> None:
    """Run some months in a folder of their own and report."""
    rows = arguments.rows or (QUICK_ROWS if arguments.quick else ROWS)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=arguments.folder) as name:
        folder = Path(name)
        shutil.copy(ROOT / "dagster.yaml", folder)
        environment = {
            "DAGSTER_HOME": str(folder),
            "PENSTOCK_HOME": str(folder / "home"),
            "PYTHONPATH": str(ROOT),
            "SYNTHETIC_CLICKS_ROWS": str(rows),
            "SYNTHETIC_CLICKS_URL": "",
        }
        report(list(months(environment, folder / "home", rows, arguments.months)), arguments.json)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    options = parser(__doc__ or "")
    options.add_argument("--rows", type=int, help=f"rows of a month (default: {ROWS:,}, {QUICK_ROWS:,} with --quick)")
    options.add_argument(
        "--months", type=int, default=3, help="months to run, the first of which only trains (default: 3)"
    )
    options.add_argument("--folder", type=Path, help="for the data, about 2 GB (default: the system's for such files)")
    main(options.parse_args())
