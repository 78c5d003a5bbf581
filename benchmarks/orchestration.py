"""What orchestration costs: importing the code location, running trivial stages, and where a real run's time goes.

    python benchmarks/orchestration.py [--quick]

Peers run side by side in one session, taking turns, each in a process of its own; medians are shown. Needs no network.
Limits are those the project sets itself; a busy machine can exceed them, so this is no test.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("great_expectations", "pandas", "sklearn", "lightgbm", "dvc", "mlflow")

FIVE_ASSETS = """
import dagster as dg

@dg.asset
def raw() -> int: return 1
@dg.asset
def features(raw: int) -> int: return raw
@dg.asset
def model(features: int) -> int: return features
@dg.asset
def evaluation(model: int) -> int: return model
@dg.asset
def deployment(evaluation: int) -> int: return evaluation

defs = dg.Definitions(assets=[raw, features, model, evaluation, deployment]{executor})
"""

TRIVIAL_PIPELINE = """
from pathlib import Path

from assets.evaluate import Evaluate
from assets.ingest import Ingest
from assets.preprocess import Features
from assets.train import Train
from pipelines.spec import Pipeline
from quality.contract import Column, Contract
from quality.gate import Gate
from resources.source import Source

trivial = Pipeline(
    name="trivial",
    ingest=Ingest(
        source=Source(url=str(Path(__file__).with_name("trivial.csv")), format="csv"),
        contract=Contract(columns={"x": Column(type="float64"), "y": Column(type="float64")}),
    ),
    features=Features(columns={"x": "x"}, label="y"),
    train=Train(trainer="lightgbm", parameters={"objective": "regression", "num_iterations": 3, "learning_rate": 0.9}),
    evaluate=Evaluate(metrics=("mae",), gate=Gate(metric="mae", margin=1.0, min_rows=1)),
)
"""

IMPORTS = "import dagster"
LOADS = (
    "import dagster; from pipelines.definitions import defs; (defs() if callable(defs) else defs).resolve_asset_graph()"
)
LISTS = f"{LOADS}; import sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of one process and all its children."""

    wall_s: float
    cpu_s: float


def cost(command: list[str], environment: Mapping[str, str], cwd: Path) -> Cost:
    """Run `command` and return what it cost; print its output and stop if it fails."""
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=cwd, capture_output=True, text=True, check=False
    )
    after, wall_s = os.times(), time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall_s, cpu_s)


def in_turns(peers: Mapping[str, Callable[[], Cost]], repeats: int) -> dict[str, Cost]:
    """Run every peer `repeats` times, taking turns; return the medians."""
    costs: dict[str, list[Cost]] = {name: [] for name in peers}
    for turn in range(repeats):
        for name, run in peers.items():
            print(f"\r  {turn + 1}/{repeats} {name:<50}", end="", file=sys.stderr, flush=True)
            costs[name].append(run())
    print(f"\r{'':70}\r", end="", file=sys.stderr)
    return {
        name: Cost(statistics.median(c.wall_s for c in own), statistics.median(c.cpu_s for c in own))
        for name, own in costs.items()
    }


def show(title: str, costs: Mapping[str, Cost]) -> None:
    """Print a table of costs."""
    print(f"\n{title}\n  {'':<50} {'wall s':>8} {'CPU s':>8}")
    for name, own in costs.items():
        print(f"  {name:<50} {own.wall_s:>8.2f} {own.cpu_s:>8.2f}")


def verdict(what: str, value: float, limit: float, unit: str = "") -> None:
    """Print a value beside the limit that the project sets itself."""
    print(f"  -> {what}: {value:.2f}{unit}, limit {limit:g}{unit}: {'within' if value <= limit else 'OVER'}")


def importing(environment: Mapping[str, str], repeats: int) -> None:
    """Measure what loading the code location adds to importing Dagster, and what it brings along."""
    python = [sys.executable, "-c"]
    peers = {
        "import dagster": lambda: cost([*python, IMPORTS], environment, ROOT),
        "load the code location": lambda: cost([*python, LOADS], environment, ROOT),
    }
    costs = in_turns(peers, repeats)
    show("Loading the code location", costs)
    added = costs["load the code location"].cpu_s - costs["import dagster"].cpu_s
    verdict("CPU added to import dagster", added, 1.0, " s")
    done = subprocess.run(
        [*python, LISTS], env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    print(f"  -> of {', '.join(HEAVY)} it imports: {done.stdout.strip() or 'none'}")


def trivial_stages(folder: Path, environment: Mapping[str, str], repeats: int) -> None:
    """Measure five trivial stages: Dagster's own command with two executors, and `penstock run`."""
    peers: dict[str, Callable[[], Cost]] = {}
    executors = {"in process": ", executor=dg.in_process_executor", "process a step (default)": ""}
    for name, executor in executors.items():
        file = folder / f"assets_{len(peers)}.py"
        file.write_text(FIVE_ASSETS.replace("{executor}", executor))
        command = [sys.executable, "-m", "dagster", "asset", "materialize", "-f", str(file), "--select", "*"]
        peers[f"dagster asset materialize, {name}"] = lambda command=command: cost(command, environment, folder)
    declared = folder / "pipelines"  # apart from the files above: every module of the folder is imported
    declared.mkdir()
    (declared / "trivial.py").write_text(TRIVIAL_PIPELINE)
    (declared / "trivial.csv").write_text("x,y\n" + "".join(f"{n},{n}\n" for n in range(400)))
    own = {**environment, "PENSTOCK_PIPELINES": str(declared)}
    run = [str(Path(sys.executable).with_name("penstock")), "run", "trivial", "--quiet"]
    cost(run, own, folder)  # the work itself, once; from here on every stage finds it done
    peers["penstock run, five stages and their checks"] = lambda: cost(run, own, folder)
    peers["penstock run --force, training included"] = lambda: cost([*run, "--force"], own, folder)
    costs = in_turns(peers, repeats)
    show("Five trivial stages", costs)
    in_process, processes, penstock, _ = (own.wall_s for own in costs.values())
    verdict("penstock run against in process", penstock / in_process, 1.15, "x")
    verdict("penstock run against a process a step", penstock / processes, 0.3, "x")


def real_run(environment: Mapping[str, str], partition: str) -> None:
    """Show where the wall time of one real partition goes, with the partitions before it already made."""
    penstock = [
        str(Path(sys.executable).with_name("penstock")),
        "run",
        "bike_demand",
        "--partition",
        partition,
        "--quiet",
    ]
    cost(penstock, environment, ROOT)
    done = subprocess.run(
        [*penstock, "--force", "--timings", "--json"],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds: dict[str, float] = json.loads(done.stdout)["timings_s"]
    whole = sum(seconds.values())
    print(f"\npenstock run bike_demand --partition {partition}, warm: {whole:.2f} s")
    for owner, own in seconds.items():
        print(f"  {owner:<50} {own:>8.2f} {own / whole:>8.1%}")
    verdict("Penstock's own share", 100 * seconds["penstock"] / whole, 15, " %")


def main() -> None:
    """Run the parts and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one turn instead of five")
    parser.add_argument("--partition", default="2012-01", help="partition of the real run (default: 2012-01)")
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else 5
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        shutil.copy(ROOT / "dagster.yaml", folder)
        environment = {
            "DAGSTER_HOME": str(folder),
            "PENSTOCK_HOME": str(folder / "home"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "",  # as on an ordinary machine, for all peers
        }
        importing(environment, repeats)
        trivial_stages(folder, environment, repeats)
        real_run(environment, arguments.partition)


if __name__ == "__main__":
    main()
