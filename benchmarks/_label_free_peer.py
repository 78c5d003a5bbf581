"""Owns what nannyml says of the batches of label_free.py; it runs in nannyml's own environment: FOLDER TASK REPEATS."""

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
    """Print value, lower and upper end of each metric of each batch, as one line of JSON."""
    import nannyml
    import pandas as pd

    folder, task, repeats = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
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
    print(json.dumps(found))


if __name__ == "__main__":
    main()
