"""Owns what nannyml says of the batches of label_free.py; it runs in nannyml's own environment: FOLDER REPEATS."""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.simplefilter("ignore")

NAMES = {"roc_auc": "auc", "accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "f1",
         "mae": "mae", "rmse": "rmse"}  # fmt: skip


def main() -> None:
    """Print value, lower and upper end of each metric of each batch of each case, as one line of JSON."""
    folders = sorted(Path(sys.argv[1]).iterdir(), key=lambda folder: int(folder.name.split("-")[0]))
    print(json.dumps([_case(folder, folder.name.split("-")[1], int(sys.argv[2])) for folder in folders]))


def _case(folder, task, repeats):  # untyped: nannyml's environment has no stubs
    import nannyml
    import pandas as pd

    found = []
    for seed in range(repeats):
        reference, batch = (pd.read_parquet(folder / f"{seed}-{kind}.parquet") for kind in (0, 1))
        if task == "binary":
            for frame in (reference, batch):
                frame["label"] = frame["label"].astype(int)
                frame["class"] = (frame["prediction"] >= 0.5).astype(int)
            metrics = ["roc_auc", "f1", "precision", "recall", "accuracy"]
            estimator = nannyml.CBPE(
                y_pred_proba="prediction", y_pred="class", y_true="label", problem_type="classification_binary",
                metrics=metrics, chunk_size=len(batch),
            )  # fmt: skip
        else:
            metrics = ["mae", "rmse"]
            features = [name for name in reference.columns if name.startswith("x")]
            estimator = nannyml.DLE(
                feature_column_names=features, y_pred="prediction", y_true="label", metrics=metrics,
                chunk_size=len(batch),
            )  # fmt: skip
        estimator.fit(reference)
        result = estimator.estimate(batch.drop(columns="label")).filter(period="analysis").to_df()
        ends = ("value", "lower_confidence_boundary", "upper_confidence_boundary")
        found.append({NAMES[name]: [float(result[(name, end)].iloc[0]) for end in ends] for name in metrics})
    return found


if __name__ == "__main__":
    main()
