"""What orchestration costs: importing the code location, running trivial stages, and where a real run's time goes.

    python benchmarks/orchestration.py [--quick] [--json FILE] [--partition P]

Peers run side by side in one session, taking turns, each in a process of its own; medians are shown. Needs no network.
Limits are those the project sets itself; a busy machine can exceed them, so this is no test.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from _report import Row, compared, measured, parser, report

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

EXECUTORS = {
    "dagster asset materialize, in process": ", executor=dg.in_process_executor",
    "dagster asset materialize, a process a step (its default)": "",
}
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


def importing(environment: Mapping[str, str], repeats: int) -> Iterator[Row]:
    """Measure what loading the code location adds to importing Dagster, and what it brings along."""
    python = [sys.executable, "-c"]
    peers = {
        "import dagster": lambda: cost([*python, IMPORTS], environment, ROOT),
        "load the code location": lambda: cost([*python, LOADS], environment, ROOT),
    }
    bare, loaded = in_turns(peers, repeats).values()
    work = "loading the code location"
    yield compared(f"{work}, CPU", "penstock", loaded.cpu_s, "s", peer="import dagster", peer_value=bare.cpu_s)
    yield measured(f"{work}, CPU more than import dagster", "penstock", loaded.cpu_s - bare.cpu_s, "s", most=1.0)
    done = subprocess.run(
        [*python, LISTS], env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    brought = done.stdout.split()
    yield measured(f"{work}, imported of {', '.join(HEAVY)}", "penstock", len(brought), "modules", most=0)


def trivial_stages(folder: Path, environment: Mapping[str, str], repeats: int) -> Iterator[Row]:
    """Measure five trivial stages: Dagster's own command with two executors, and `penstock run`."""
    peers: dict[str, Callable[[], Cost]] = {}
    for name, executor in EXECUTORS.items():
        file = folder / f"assets_{len(peers)}.py"
        file.write_text(FIVE_ASSETS.replace("{executor}", executor))
        command = [sys.executable, "-m", "dagster", "asset", "materialize", "-f", str(file), "--select", "*"]
        peers[name] = lambda command=command: cost(command, environment, folder)
    declared = folder / "pipelines"  # apart from the files above: every module of the folder is imported
    declared.mkdir()
    (declared / "trivial.py").write_text(TRIVIAL_PIPELINE)
    (declared / "trivial.csv").write_text("x,y\n" + "".join(f"{n},{n}\n" for n in range(400)))
    own = {**environment, "PENSTOCK_PIPELINES": str(declared)}
    run = [str(Path(sys.executable).with_name("penstock")), "run", "trivial", "--quiet"]
    cost(run, own, folder)  # the work itself, once; from here on every stage but the ingest finds it done
    forced = "penstock run --force, training included"
    peers["penstock run"] = lambda: cost(run, own, folder)
    peers[forced] = lambda: cost([*run, "--force"], own, folder)
    costs = in_turns(peers, repeats)
    work = "five trivial stages and their checks"
    for peer, most in zip(EXECUTORS, (1.15, 0.3), strict=True):
        wall, cpu = costs[peer].wall_s, costs[peer].cpu_s
        ours = costs["penstock run"]
        yield compared(work, "penstock run", ours.wall_s, "s", peer=peer, peer_value=wall, most_ratio=most)
        yield compared(f"{work}, CPU", "penstock run", ours.cpu_s, "s", peer=peer, peer_value=cpu)
        yield compared(work, forced, costs[forced].wall_s, "s", peer=peer, peer_value=wall)


def real_run(environment: Mapping[str, str], partition: str) -> Iterator[Row]:
    """Show where the wall time of one real partition goes, with the partitions before it already made."""
    penstock = [str(Path(sys.executable).with_name("penstock")), "run", "bike_demand"]
    penstock += ["--partition", partition, "--quiet"]
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
    work = f"penstock run bike_demand --partition {partition} --force"
    yield measured(f"{work}, in all", "all", whole, "s")
    for owner, own in seconds.items():
        most = 0.15 if owner == "penstock" else None
        yield measured(f"{work}, {own:.2f} s", owner, own / whole, "share of the wall time", most=most)


def main() -> None:
    """Run the parts and print them."""
    arguments = parser(__doc__)
    arguments.add_argument("--partition", default="2012-01", help="partition of the real run (default: 2012-01)")
    options = arguments.parse_args()
    repeats = 1 if options.quick else 5
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        shutil.copy(ROOT / "dagster.yaml", folder)
        environment = {
            "DAGSTER_HOME": str(folder),
            "PENSTOCK_HOME": str(folder / "home"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "",  # as on an ordinary machine, for all peers
        }
        rows = [
            *importing(environment, repeats),
            *trivial_stages(folder, environment, repeats),
            *real_run(environment, options.partition),
        ]
    report(rows, options.json)


if __name__ == "__main__":
    main()
