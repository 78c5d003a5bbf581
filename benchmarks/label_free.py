"""Measure estimates without labels: label_free.py [--quick] [--json FILE]

Claims: 95 % intervals hold what labels show later in 93 to 97 % of batches, for calibrated and badly calibrated
classifiers and for regressors, where rows are alike and where their features have moved; where the truth itself has
moved nobody can tell, and the table says by how much estimates are off then. The peer, nannyml's CBPE and DLE, learns
from the same labelled rows and judges the same batches, in a virtual environment of its own, made on first use.
Seasonal data, generated and real (PENSTOCK_TEST_DATA), tell how often nothing is said, with the experience of earlier
partitions and without; and the drift of calibration is found as rarely as stated where there is none.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path

import numpy as np
import polars as pl
from _label_free_seasons import calibration_rows, made, many_months, rides, rows_of, shifted
from _peer_environments import environment
from _report import Row, compared, measured, parser, report
from numpy.typing import NDArray

from quality.evaluation import evaluate
from quality.label_free.classification import expect_classifier, fit_classifier
from quality.label_free.regression import expect_regressor, fit_regressor

Floats = NDArray[np.float64]
LABELLED, BATCH = 4_000, 2_000
LEAST, MOST = 0.93, 0.97
METRICS = {"binary": ("accuracy", "precision", "recall", "f1", "auc"), "regression": ("mae", "rmse")}
PEER_REPEATS = 10
PEER = Path(__file__).with_name("_label_free_peer.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way in which labelled rows and a batch are made.

    Attributes:
        name: Told in the table.
        task: "binary" or "regression".
        shift: By how much the first feature moves in the batch.
        sharp: By how much the classifier overstates its logits.
        turn: By how much the truth moves in the batch, unseen.
    """

    name: str
    task: str
    shift: float = 0.0
    sharp: float = 1.0
    turn: float = 0.0


CASES = (
    Case(name="classifier, calibrated, rows alike", task="binary"),
    Case(name="classifier, calibrated, features moved by 0.7 sd", task="binary", shift=0.7),
    Case(name="classifier, overconfident by 1.8, rows alike", task="binary", sharp=1.8),
    Case(name="classifier, overconfident by 1.8, features moved by 0.7 sd", task="binary", sharp=1.8, shift=0.7),
    Case(name="classifier, the truth moved by 0.5", task="binary", turn=0.5),
    Case(name="regressor, rows alike", task="regression"),
    Case(name="regressor, features moved by 0.7 sd", task="regression", shift=0.7),
    Case(name="regressor, the truth moved by 0.5", task="regression", turn=0.5),
)


def drawn(case: Case, seed: int, *, batch: bool) -> dict[str, Floats]:
    """Return label, prediction and features of labelled rows or of a batch."""
    rng = np.random.default_rng([seed, int(batch)])
    rows = BATCH if batch else LABELLED
    shift, turn = (case.shift, case.turn) if batch else (0.0, 0.0)
    x = np.clip(rng.standard_normal((rows, 3)) + np.array([shift, 0, 0]), -3, 3)
    features = {f"x{i}": x[:, i] for i in range(3)}
    if case.task == "binary":
        logit = 0.9 * x[:, 0] - 0.6 * x[:, 1] + 0.3 * x[:, 2] - 0.4
        label = (rng.random(rows) < 1 / (1 + np.exp(-(logit + turn)))).astype(np.float64)
        return {"label": label, "prediction": 1 / (1 + np.exp(-case.sharp * logit)), **features}
    noise = np.exp(0.6 * x[:, 0] + 0.2 * x[:, 1]) * rng.standard_normal(rows)
    return {"label": 3 * x[:, 0] + turn + noise, "prediction": 3 * x[:, 0], **features}


def truth(task: str, batch: Mapping[str, Floats]) -> dict[str, float]:
    """Return the metrics that labels show."""
    label, prediction = batch["label"], batch["prediction"]
    wanted = ["mae", "rmse"] if task == "regression" else ["accuracy", "auc"]
    told = evaluate(label, {"challenger": prediction}, metrics=wanted, resamples=200).overall.metrics["challenger"]
    found = {name: float(one.value or 0) for name, one in told.items()}
    if task == "binary":
        chosen = prediction >= 0.5
        hits, picked, ones = (chosen & (label == 1)).sum(), chosen.sum(), label.sum()
        found |= {"precision": hits / picked, "recall": hits / ones, "f1": 2 * hits / (picked + ones)}
    return found


def ours(case: Case, seed: int) -> dict[str, tuple[float, float, float]]:
    """Return value, low and high of each metric expected of a batch; none if we abstain."""
    known, batch = drawn(case, seed, batch=False), drawn(case, seed, batch=True)
    names = [name for name in known if name.startswith("x")]
    fit, expect = (fit_classifier, expect_classifier) if case.task == "binary" else (fit_regressor, expect_regressor)
    learn: Callable[..., object] = fit
    tell: Callable[..., object] = expect
    model = learn(known["label"], known["prediction"], features={name: known[name] for name in names})
    found = tell(model, batch["prediction"], features={name: batch[name] for name in names})
    return {name: (one.value, one.low, one.high) for name, one in found.metrics.items()}  # type: ignore[attr-defined]


def theirs(cases: Sequence[Case], repeats: int, python: Path) -> list[list[dict[str, tuple[float, float, float]]]]:
    """Return what nannyml expects of the first batches of each case: value, ends of its sampling error (3 sd)."""
    with tempfile.TemporaryDirectory() as folder:
        for place, case in enumerate(cases):
            (Path(folder) / f"{place}-{case.task}").mkdir()
            for seed, kind in product(range(repeats), (False, True)):
                file = Path(folder) / f"{place}-{case.task}" / f"{seed}-{int(kind)}.parquet"
                pl.DataFrame(drawn(case, seed, batch=kind)).write_parquet(file)
        done = subprocess.run(
            [str(python), str(PEER), folder, str(repeats)], capture_output=True, text=True, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def rows(repeats: int, peer_repeats: int, peer: Path | None) -> Iterator[Row]:
    """Yield coverage and error of each case and metric."""
    few = min(peer_repeats, repeats)
    others = theirs(CASES, few, peer) if peer else [[] for _ in CASES]
    for case, other in zip(CASES, others, strict=True):
        real = [truth(case.task, drawn(case, seed, batch=True)) for seed in range(repeats)]
        told = [ours(case, seed) for seed in range(repeats)]
        yield measured(
            f"{case.name}: abstains", "label_free", sum(not one for one in told) / repeats, "share of batches"
        )
        for metric in METRICS[case.task]:
            pairs = [(one[metric], value[metric]) for one, value in zip(told, real, strict=True) if one]
            if not pairs:
                continue
            covers = sum(low <= value <= high for (_, low, high), value in pairs) / len(pairs)
            error = sum(abs(found - value) for (found, _, _), value in pairs) / len(pairs)
            judged = not case.turn and repeats >= 200
            row = measured(f"{case.name}: {metric} in its 95 % interval", "label_free", covers, "share of batches")
            yield Row(**{**_fields(row), "target": f"{LEAST:g} to {MOST:g}" if judged else "",
                         "met": bool(LEAST <= covers <= MOST) if judged else None})  # fmt: skip
            if other:
                off = sum(abs(one[metric][0] - value[metric]) for one, value in zip(other, real, strict=False)) / few
                ours_off = sum(
                    abs(one[metric][0] - value[metric]) for one, value in zip(told[:few], real, strict=False) if one
                )
                yield compared(f"{case.name}: {metric}, mean absolute error of {few} estimates", "label_free",
                               1000 * ours_off / few, "thousandths", peer="nannyml", peer_value=1000 * off)  # fmt: skip
            else:
                yield measured(f"{case.name}: {metric}, mean absolute error", "label_free", 1000 * error, "thousandths")


def _fields(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in Row.__dataclass_fields__}


def main() -> None:
    """Run all measurements and print them."""
    options = parser(__doc__ or "").parse_args()
    peer = environment("nannyml")
    found: list[Row] = []
    quick = bool(options.quick)
    real = [] if quick else list(rides())
    many = [] if quick else [many_months(40), *(shifted(one) for one in real[:1])]
    series = [[made(weeks=40 if quick else 80)], *([one] for one in real), *many]
    seasons = (row for one in series for task in METRICS for row in rows_of(one, task))
    estimates = rows(10 if quick else 200, 1 if quick else PEER_REPEATS, peer)
    for row in chain(seasons, calibration_rows(20 if quick else 500), estimates):
        print(f"{row.work}: {row.value:.4g}", file=sys.stderr, flush=True)
        found.append(row)
    report(found, options.json)


if __name__ == "__main__":
    main()
