"""Trainers give the same bytes for the same inputs, keep models without pickle, and refuse what they do not know."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from resources.errors import DeclarationError, TrainingError
from resources.training.estimators import ESTIMATORS
from resources.training.estimators import REFUSED as REFUSED_BY_SKLEARN
from resources.training.lightgbm_parameters import CANONICAL, REASONS, canonical_parameters
from resources.training.protocol import TrainingSet, trainer_named
from resources.training.skops_file import canonical_form, read_skops
from resources.transform.expressions import apply_columns
from resources.transform.fitted import fit_transform
from resources.transform.steps import Ordinal

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("size", 'od,d"name', "kind")
SMALL = {"lightgbm": {"num_iterations": 5}, "RandomForest": {"n_estimators": 3}, "HistGradient": {"max_iter": 30}}


def parameters_of(estimator: str) -> dict[str, object]:
    few = next((values for start, values in SMALL.items() if estimator.startswith(start)), {})
    return {**few} if estimator == "lightgbm" else {"estimator": estimator, **few}


def data_for(task: str, rows: int = 600) -> TrainingSet:
    draw = np.random.default_rng(3)
    matrix = np.column_stack([draw.normal(size=rows), draw.normal(size=rows), draw.integers(0, 4, rows)]).round(4)
    signal = 3 * matrix[:, 0] + (matrix[:, 2] == 1) + draw.normal(scale=0.1, size=rows)
    label = (signal > 0.5).astype(float) if task == "binary" else signal
    return TrainingSet(matrix=matrix, label=label, feature_names=NAMES, categorical=("kind",))


def trained(estimator: str) -> tuple[object, TrainingSet, bytes]:
    trainer, parameters = trainer_named("lightgbm" if estimator == "lightgbm" else "sklearn"), parameters_of(estimator)
    data = data_for(trainer.task(parameters))
    return trainer, data, trainer.fit(data, parameters, 1)


@pytest.mark.parametrize("estimator", ["lightgbm", *ESTIMATORS])
def test_a_model_file_is_the_same_every_time_and_reads_back(estimator: str):
    trainer, data, file = trained(estimator)
    assert trained(estimator)[2] == file
    assert b"pickle" not in file
    predicted = trainer.load(file).predict(data.matrix)
    assert predicted.shape == data.label.shape
    assert np.corrcoef(predicted, data.label)[0, 1] > 0.6
    assert trainer.load(file).predict(data.matrix[:0]).shape == (0,)


@pytest.mark.parametrize("estimator", ["lightgbm", *sorted(set(ESTIMATORS) - {"Lasso", "ElasticNet"})])
def test_importance_is_told_by_name_and_sums_to_one(estimator: str):
    trainer, data, file = trained(estimator)
    importance = trainer.importance(file, data.feature_names)
    assert next(iter(importance)) == "size"
    assert set(importance) == set(NAMES)
    assert sum(importance.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "estimator", ["LogisticRegression", "HistGradientBoostingClassifier", "RandomForestClassifier"]
)
def test_a_binary_model_predicts_the_probability_of_one(estimator: str):
    trainer, data, file = trained(estimator)
    predicted = trainer.load(file).predict(data.matrix)
    assert 0 <= predicted.min() < 0.3 < 0.7 < predicted.max() <= 1
    assert predicted[data.label == 1].mean() > predicted[data.label == 0].mean() + 0.3


def test_lightgbm_predicts_the_probability_of_one_for_the_objective_binary():
    trainer = trainer_named("lightgbm")
    assert trainer.task({"app": "binary"}) == "binary"
    data = data_for("binary")
    predicted = trainer.load(trainer.fit(data, {"objective": "binary"}, 0)).predict(data.matrix)
    assert 0 <= predicted.min() < 0.1 < 0.9 < predicted.max() <= 1


def test_another_seed_gives_another_model_where_training_draws():
    trainer, parameters = trainer_named("lightgbm"), {"bagging_fraction": 0.5, "bagging_freq": 1, "n_estimators": 5}
    data = data_for("regression")
    models = [trainer.load(trainer.fit(data, parameters, seed)).predict(data.matrix) for seed in (0, 1)]
    assert not np.array_equal(*models)


def test_unseen_categories_and_missing_values_are_scored():
    trainer, _, file = trained("lightgbm")
    strange = np.array([[np.nan, np.nan, np.nan], [0.0, 0.0, -1.0], [0.0, 0.0, 77.0]])
    assert np.isfinite(trainer.load(file).predict(strange)).all()


def test_training_prints_nothing(capfd: pytest.CaptureFixture[str]):
    trainer = trainer_named("lightgbm")
    constant = TrainingSet(matrix=np.ones((50, 1)), label=np.arange(50.0), feature_names=("one",))
    trainer.load(trainer.fit(constant, {}, 0)).predict(constant.matrix)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_models_are_the_same_bits_on_one_core_and_on_many():
    script = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.resources.test_trainers import ESTIMATORS, trained\n"
        "print([hashlib.sha256(trained(e)[2]).hexdigest() for e in ['lightgbm', *ESTIMATORS]])\n"
    )
    found = set[str]()
    for threads in ("1", "7"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), threads)
        command = [sys.executable, "-c", script, str(ROOT)]
        done = subprocess.run(
            command, env={**os.environ, **limits}, cwd=ROOT, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_fewer_threads_than_declared_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
    with pytest.raises(TrainingError, match=r"OMP_THREAD_LIMIT=1 .* declare num_threads: 1"):
        trainer_named("lightgbm").fit(data_for("regression"), {"num_threads": 2}, 0)


@pytest.mark.parametrize(
    ("trainer", "parameters", "words"),
    [
        ("lightgbm", {"num_leafs": 31}, "unknown LightGBM parameter 'num_leafs'; did you mean 'num_leaf'"),
        ("lightgbm", {"seed": 1}, "train.parameters.seed: cannot be set, the stage's own `seed`"),
        ("lightgbm", {"n_jobs": 0}, "must be a whole number of at least 1, got 0"),
        ("lightgbm", {"num_leaves": 31, "max_leaves": 15}, "another name of num_leaves"),
        ("lightgbm", {"learning_rate": "fast"}, "must be a number above 0, got 'fast'"),
        ("lightgbm", {"objective": "multiclass"}, "must be one of regression"),
        ("lightgbm", {"early_stopping_rounds": 5}, "the gate judges on unseen rows"),
        ("lightgbm", {"extra_trees": 1}, "must be true or false"),
        ("lightgbm", {"monotone_constraints": [2]}, "must be a list of -1, 0 or 1"),
        ("sklearn", {}, "train.parameters.estimator: required, one of ElasticNet"),
        ("sklearn", {"estimator": "Rigde"}, "unknown estimator 'Rigde'; did you mean 'Ridge'"),
        ("sklearn", {"estimator": "Ridge", "aplha": 1}, "unknown parameter of Ridge 'aplha'; did you mean 'alpha'"),
        ("sklearn", {"estimator": "Ridge", "random_state": 1}, "the stage's own `seed`"),
        ("sklearn", {"estimator": "SVC"}, "unknown estimator 'SVC'"),
    ],
)
def test_parameters_declared_wrongly_are_refused(trainer: str, parameters: dict[str, object], words: str):
    with pytest.raises(DeclarationError) as refusal:
        trainer_named(trainer).check("train.parameters", parameters)
    assert words in str(refusal.value)


def test_an_unknown_trainer_is_refused_with_the_nearest_name():
    with pytest.raises(DeclarationError, match=r"train.trainer: unknown trainer 'lightgmb'; did you mean 'lightgbm'"):
        trainer_named("lightgmb", field="train.trainer")


def test_checking_parameters_imports_no_learning_library():
    script = (
        "import sys; from resources.training.protocol import trainer_named\n"
        "trainer_named('lightgbm').check('p', {'eta': 0.1})\n"
        "trainer_named('sklearn').check('p', {'estimator': 'Ridge'})\n"
        "print(sorted({'lightgbm', 'sklearn', 'pandas', 'skops', 'scipy', 'pyarrow'} & set(sys.modules)))\n"
    )
    command, env = [sys.executable, "-c", script], {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_table_of_lightgbm_parameters_is_the_installed_librarys():
    from lightgbm.basic import _ConfigAliases

    installed = {alias for aliases in _ConfigAliases._get_all_param_aliases().values() for alias in aliases}
    assert CANONICAL.keys() | REASONS.keys() == installed
    assert not CANONICAL.keys() & REASONS.keys()
    for name, main in CANONICAL.items():
        assert name in _ConfigAliases.get(main)


def test_aliases_mean_the_same_model():
    trainer, data = trainer_named("lightgbm"), data_for("regression")
    assert trainer.fit(data, {"n_estimators": 3, "eta": 0.2}, 0) == trainer.fit(
        data, {"learning_rate": 0.2, "num_boost_round": 3}, 0
    )
    assert canonical_parameters("p", {"eta": 0.2}) == {"learning_rate": 0.2}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_table_of_estimators_is_the_installed_librarys(name: str):
    import importlib

    estimator = getattr(importlib.import_module(ESTIMATORS[name].module), name)(**ESTIMATORS[name].defaults)
    assert ESTIMATORS[name].in_batches == hasattr(estimator, "partial_fit")
    assert estimator.get_params().keys() - REFUSED_BY_SKLEARN.keys() == ESTIMATORS[name].parameters
    assert (ESTIMATORS[name].task == "binary") == hasattr(estimator, "predict_proba")


@pytest.mark.parametrize(
    ("task", "label", "words"),
    [
        ("regression", [1.0, np.nan, 2.0], "1 of 3 labels are missing"),
        ("binary", [0.0, 1.0, 2.0], "a binary label is 0 or 1, found"),
        ("binary", [1.0, 1.0, 1.0], "all 3 labels are 1"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(task: str, label: list[float], words: str):
    data = TrainingSet(matrix=np.ones((3, 1)), label=np.array(label), feature_names=("one",))
    for trainer, parameters in (
        ("lightgbm", {"objective": task}),
        ("sklearn", {"estimator": "LogisticRegression" if task == "binary" else "Ridge"}),
    ):
        with pytest.raises(TrainingError, match=words):
            trainer_named(trainer).fit(data, parameters, 0)


def test_missing_values_that_an_estimator_cannot_take_name_the_feature_and_the_step():
    data = TrainingSet(matrix=np.array([[1.0, 2], [np.nan, 1]]), label=np.arange(2.0), feature_names=("temp", "hum"))
    with pytest.raises(TrainingError, match=r"feature temp has 1 missing .* Ridge takes none: add an `impute` step"):
        trainer_named("sklearn").fit(data, {"estimator": "Ridge"}, 0)


def test_a_library_that_refuses_a_value_says_so_in_our_words():
    with pytest.raises(TrainingError, match="Ridge cannot fit 600 rows"):
        trainer_named("sklearn").fit(data_for("regression"), {"estimator": "Ridge", "alpha": "much"}, 0)
    with pytest.raises(TrainingError, match="did not converge"):
        trainer_named("sklearn").fit(data_for("binary"), {"estimator": "LogisticRegression", "max_iter": 1}, 0)
    with pytest.raises(TrainingError, match=r"LightGBM cannot fit 600 rows: .*bagging_freq"):
        trainer_named("lightgbm").fit(data_for("regression"), {"boosting": "rf"}, 0)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"monotone_constraints": [1]}, "has 1 items, the model has 3 features: give one for each of size"),
        ({"mc": [0, 0, 1]}, "has 1 for the categories 'kind': give 0"),
        ({"interaction_constraints": [[0, 3]]}, "positions go from 0 to 2"),
    ],
)
def test_lists_that_do_not_fit_the_features_are_refused_before_lightgbm_ends_the_process(parameters, words: str):
    with pytest.raises(TrainingError, match=words):
        trainer_named("lightgbm").fit(data_for("regression"), parameters, 0)


def test_no_rows_are_refused():
    with pytest.raises(TrainingError, match="widen the training window"):
        TrainingSet(matrix=np.empty((0, 1)), label=np.empty(0), feature_names=("x",))


def rewritten(data: bytes, change) -> bytes:
    """Return a skops file whose schema went through `change`, otherwise as Penstock writes it."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(members["schema.json"])
    change(schema)
    members["schema.json"] = json.dumps(schema).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, member in members.items():
            target.writestr(name, member)
    return canonical_form(buffer.getvalue())


@pytest.mark.parametrize(
    ("module", "name", "loader"),
    [
        ("builtins", "eval", "FunctionNode"),
        ("os", "system", "FunctionNode"),
        ("sklearn.svm._classes", "SVC", "ObjectNode"),
        ("subprocess", "Popen", "ObjectNode"),
        ("sklearn.linear_model._ridge", "Ridge", "MethodNode"),
    ],
)
def test_a_model_file_with_a_type_off_the_list_is_refused(module: str, name: str, loader: str):
    def replace(schema):
        schema["content"]["content"]["alpha"] = {
            "__module__": module, "__class__": name, "__loader__": loader, "content": {}, "__id__": 99,
        }  # fmt: skip

    with pytest.raises(TrainingError, match=f"{module}.{name} as {loader}, which is not on the list"):
        read_skops(rewritten(trained("Ridge")[2], replace))


def test_an_altered_model_file_is_refused():
    trainer, _, file = trained("Ridge")
    middle = len(file) // 3
    for damaged in (
        file[:-20],
        file[:middle] + bytes([file[middle] ^ 255]) + file[middle + 1 :],
        file + b"x",
        b"",
        b"PK",
    ):
        with pytest.raises(TrainingError, match="train the model again"):
            trainer.load(damaged)


def test_a_skops_file_that_penstock_did_not_write_is_refused():
    import skops.io
    from sklearn.linear_model import Ridge

    foreign = skops.io.dumps(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))
    with pytest.raises(TrainingError, match="not in the form that Penstock writes"):
        read_skops(foreign)
    assert read_skops(canonical_form(foreign)).predict([[1.0]]).shape == (1,)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x04pickle", b"tree\nnonsense", b"tree\n\xff\xfe"])
def test_a_lightgbm_text_that_is_none_is_refused(data: bytes):
    with pytest.raises(TrainingError, match="not a LightGBM model text"):
        trainer_named("lightgbm").load(data)


def test_a_model_refuses_another_number_of_features():
    for estimator in ("lightgbm", "Ridge"):
        trainer, _, file = trained(estimator)
        with pytest.raises(TrainingError, match="takes 3 features, got 2"):
            trainer.load(file).predict(np.ones((4, 2)))


def bikes(shared_data: Path) -> pl.DataFrame:
    frame = pl.read_csv(shared_data / "bike_sharing" / "hour.csv")
    return frame.with_columns(pl.col("dteday").str.strptime(pl.Date, "%m/%d/%Y"))


@pytest.mark.parametrize(
    ("train_until", "first", "last", "r2", "bias"),
    [("2011-10-01", "2011-10-01", "2012-01-01", 0.84, 5), ("2012-01-01", "2012-04-01", "2012-07-01", 0.68, -83)],
)
def test_lightgbm_reaches_the_known_figures_on_real_bike_rentals(
    shared_data: Path, train_until: str, first: str, last: str, r2: float, bias: float
):
    names = (
        "mnth",
        "hr",
        "season",
        "holiday",
        "weekday",
        "workingday",
        "weathersit",
        "temp",
        "atemp",
        "hum",
        "windspeed",
    )
    columns = {name: name for name in names}
    rows = apply_columns(bikes(shared_data).lazy(), columns, keep=("dteday", "cnt")).collect()
    day = pl.col("dteday").cast(pl.String)
    train, test = (
        rows.filter(day < train_until),
        rows.filter(day.is_between(pl.lit(first), pl.lit(last), closed="left")),
    )
    transform = fit_transform(columns, (Ordinal(columns=("weathersit",)),), train)
    trainer = trainer_named("lightgbm")
    data = TrainingSet(
        matrix=transform.matrix(train.lazy()),
        label=train["cnt"].cast(pl.Float64).to_numpy(),
        feature_names=transform.output,
        categorical=transform.categorical,
    )
    model = trainer.load(trainer.fit(data, {"num_iterations": 200, "learning_rate": 0.05}, 0))
    error = model.predict(transform.matrix(test.lazy())) - test["cnt"].to_numpy()
    assert 1 - (error**2).mean() / test["cnt"].to_numpy().var() == pytest.approx(r2, abs=0.02)
    assert error.mean() == pytest.approx(bias, abs=6)
