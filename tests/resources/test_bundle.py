"""A bundle is named by its content, holds no pickle, and scores raw rows exactly as it was trained."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.errors import (
    ContractError,
    DeclarationError,
    IntegrityError,
    ObjectMissing,
    SignatureError,
    TrainingError,
)
from resources.refs import DatasetRef
from resources.settings import Settings
from resources.storage.datasets import write_table
from resources.storage.objects import put_object
from resources.storage.provenance import Parent, Provenance, record
from resources.storage.versions import bundle_files
from resources.training.bundle import Bundle, bundle_digest, read_bundle, write_bundle
from resources.training.recipe import TrainingRecipe
from resources.training.train import Inputs, make_files, train
from resources.transform.expressions import apply_columns
from resources.transform.fitted import fit_transform
from resources.transform.steps import Clip, Impute, OneHot, Ordinal, Standardize
from resources.workspace import Workspace, open_workspace

COLUMNS = {
    "hr": "hr",
    "rush": "CASE WHEN hr IN (7, 8, 17, 18) THEN 1 ELSE 0 END",
    "warmth": "temp * 0.5 / NULLIF(hr, 0)",
    "share": "temp / 7.3 + (temp - 1) / 3",
    "sky": "LOWER(sky)",
    "town": "town",
}
STEPS = (
    Impute(columns=("warmth", "share"), strategy="mean"),
    Clip(columns=("warmth",), lower_quantile=0.01, upper_quantile=0.99),
    Standardize(columns=("warmth",)),
    Ordinal(columns=("sky",)),
    OneHot(columns=("town",), max_categories=3),
)
CONTRACT = {"columns": {"hr": {"type": "int64"}}}


def opened(folder: Path) -> Workspace:
    home = folder / "home"
    return open_workspace(
        Settings(
            home=home, store=str(home / "store"), key=home / "key.pem", scratch=home / "scratch", cache=home / "cache"
        )
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return opened(tmp_path)


def raw_rows(rows: int = 300, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    start = datetime(2011, 1, 1, tzinfo=UTC)
    temp = [None if draw.random() < 0.1 else float(value) for value in draw.normal(15, 8, rows)]
    return pl.DataFrame(
        {
            "ts": [start + timedelta(hours=hour) for hour in range(rows)],
            "hr": [hour % 24 for hour in range(rows)],
            "temp": pl.Series(temp, dtype=pl.Float64),
            "sky": draw.choice(["Clear", "mist", "RAIN"], rows),
            "town": draw.choice(["a", "b", "c", "d", "e"], rows),
            "cnt": draw.integers(0, 50, rows) + np.arange(rows) % 24 * 10,
        }
    )


def recipe(**changes: object) -> TrainingRecipe:
    fields = {
        "pipeline": "rides", "columns": COLUMNS, "steps": STEPS, "label": "label", "contract": CONTRACT, "seed": 5,
        "parameters": {"num_iterations": 10},
    }  # fmt: skip
    return TrainingRecipe(**{**fields, **changes})


def features(workspace: Workspace, raw: pl.DataFrame, columns: dict[str, str] = COLUMNS) -> DatasetRef:
    rows = apply_columns(raw.lazy(), {**columns, "label": "cnt"}, keep=["ts"]).collect()
    return write_table(workspace.store, rows, scratch=workspace.scratch)


def window(workspace: Workspace, parts: int = 2) -> dict[str, DatasetRef]:
    return {f"2011-{part + 1:02}": features(workspace, raw_rows(seed=part)) for part in range(parts)}


def test_a_model_scores_raw_rows_as_it_scores_the_features_it_was_trained_on(workspace: Workspace):
    trained = window(workspace)
    ref, facts = train(workspace, recipe(), trained)
    bundle = read_bundle(workspace.store, ref.digest, keyring=workspace.keyring)
    raw = raw_rows(seed=9).drop("cnt", "ts")
    np.testing.assert_array_equal(
        bundle.predict_raw(raw.lazy()), bundle.predict_rows(apply_columns(raw.lazy(), COLUMNS))
    )
    assert facts["rows"] == 600
    assert set(facts["importance"]) == set(bundle.schema["features"])
    assert next(iter(facts["importance"])) == "hr"
    assert ref.training_digests == {key: value.digest for key, value in trained.items()}
    assert bundle.importance() == facts["importance"]


def test_a_bundle_holds_everything_and_no_pickle(workspace: Workspace):
    ref, _ = train(workspace, recipe(), window(workspace))
    bundle = read_bundle(workspace.store, ref.digest)
    assert sorted(bundle.files) == [
        "declaration.json", "lineage.json", "model.txt", "profile.json", "schema.json", "transform.json",
    ]  # fmt: skip
    assert bundle.contract == CONTRACT
    assert bundle.schema["reads"] == ["hr", "sky", "temp", "town"]
    assert bundle.schema["features"][:5] == ["hr", "rush", "warmth", "share", "sky"]
    assert [name.partition("=")[0] for name in bundle.schema["features"][5:]] == ["town"] * 3
    assert bundle.schema["categorical"] == ["sky"]
    assert bundle.profile["rows"] == 600
    assert bundle.recipe == recipe()
    assert set(bundle.lineage["libraries"]) == {"lightgbm", "numpy", "polars"}
    assert all(version.count(".") == 1 for version in bundle.lineage["libraries"].values())


@pytest.mark.parametrize(
    ("trainer", "parameters"),
    [("lightgbm", {"num_iterations": 5}), ("sklearn", {"estimator": "RandomForestRegressor", "n_estimators": 3})],
)
def test_equal_inputs_give_equal_bundles_in_any_store(tmp_path: Path, trainer: str, parameters: dict[str, object]):
    digests = set[str]()
    for name in ("here", "there"):
        workspace = opened(tmp_path / name)
        ref, _ = train(workspace, recipe(trainer=trainer, parameters=parameters), window(workspace))
        digests.add(ref.digest)
    assert len(digests) == 1


def test_whatever_decides_a_model_changes_its_digest(workspace: Workspace):
    trained = window(workspace)
    variants = [
        (recipe(), trained),
        (recipe(seed=6), trained),
        (recipe(parameters={"num_iterations": 11}), trained),
        (recipe(steps=(*STEPS[:-1], OneHot(columns=("town",), max_categories=2))), trained),
        (recipe(rows="hr > 3"), trained),
        (recipe(), window(workspace, parts=1)),
    ]
    digests = [train(workspace, *variant)[0].digest for variant in variants]
    assert len(set(digests)) == len(variants)


def test_the_order_of_declared_columns_is_kept_through_the_bundle(workspace: Workspace):
    columns = {"z": "hr", "a": "temp"}
    trained = {"": features(workspace, raw_rows(), columns)}
    ref, _ = train(workspace, recipe(columns=columns, steps=()), trained)
    bundle = read_bundle(workspace.store, ref.digest)
    assert bundle.schema["features"] == ["z", "a"]
    assert list(bundle.recipe.texts) == list(bundle.transform.columns) == ["z", "a"]


def test_rows_outside_the_condition_are_not_trained_on(workspace: Workspace):
    _, facts = train(workspace, recipe(rows="hr >= 12"), window(workspace))
    assert facts["rows"] == sum(raw_rows(seed=part).filter(pl.col("hr") >= 12).height for part in range(2))


def test_lineage_names_features_and_the_raw_data_they_were_made_of(workspace: Workspace):
    ref = features(workspace, raw_rows())
    parents = tuple(Parent(kind="dataset", name=f"raw@2011-0{n}", digest=str(n) * 64) for n in (1, 2))
    record(
        workspace.store,
        Provenance(
            subject=ref.digest, kind="dataset", pipeline="rides", stage="features", partition="2011-02",
            parents=parents, code_version="c", parameters={}, run_id="r", created_at="2011-03-01T00:00:00+00:00",
        ),
    )  # fmt: skip
    model, _ = train(workspace, recipe(), {"2011-02": ref})
    lineage = read_bundle(workspace.store, model.digest).lineage
    assert lineage["features"] == {"2011-02": ref.digest}
    assert lineage["raw"] == {"2011-01": "1" * 64, "2011-02": "2" * 64}


raws = st.lists(
    st.tuples(
        st.integers(0, 23),
        st.none() | st.floats(-50, 60, allow_subnormal=False),
        st.none() | st.sampled_from(["Clear", "MIST", "snow", "", "Ω"]),
        st.none() | st.sampled_from(["a", "b", "zz"]),
    ),
    min_size=1,
    max_size=30,
)
SCHEMA = {"hr": pl.Int64, "temp": pl.Float64, "sky": pl.String, "town": pl.String}


@given(rows=raws, cuts=st.sets(st.integers(0, 30)))
@settings(deadline=None)
def test_training_and_scoring_see_the_same_features_for_any_rows_and_batches(rows, cuts: set[int]):
    raw = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    stored = apply_columns(raw_rows().lazy(), COLUMNS).collect()
    bundle = Bundle("0" * 64, {"transform.json": json.dumps(fit_transform(COLUMNS, STEPS, stored).to_json()).encode()})
    trained = bundle.transform.matrix(apply_columns(raw.lazy(), COLUMNS))
    edges = sorted({0, raw.height, *(cut for cut in cuts if cut < raw.height)})
    batches = [raw.slice(start, end - start) for start, end in pairwise(edges)]
    scored = np.concatenate([bundle.transform.matrix(bundle.transform.rows(batch.lazy())) for batch in batches])
    np.testing.assert_array_equal(trained, scored)
    assert trained.shape == (raw.height, len(bundle.transform.output))


def test_an_unsigned_bundle_or_one_of_a_foreign_key_is_refused(tmp_path: Path):
    workspace, stranger = opened(tmp_path / "mine"), opened(tmp_path / "theirs")
    unsigned = write_bundle(workspace.store, {"schema.json": b"{}"})
    with pytest.raises(SignatureError):
        read_bundle(workspace.store, unsigned, keyring=workspace.keyring)
    foreign = write_bundle(workspace.store, {"schema.json": b"[]"}, signer=stranger.signer)
    with pytest.raises(SignatureError):
        read_bundle(workspace.store, foreign, keyring=workspace.keyring)


def test_an_altered_or_missing_file_is_found(workspace: Workspace):
    ref, _ = train(workspace, recipe(), window(workspace))
    key = bundle_files(workspace.store, ref.digest)["model.txt"].key
    model = workspace.store.get(key)
    workspace.store.put(key, model.replace(b"leaf_value=", b"leaf_value=9", 1))
    with pytest.raises(IntegrityError):
        read_bundle(workspace.store, ref.digest, keyring=workspace.keyring)
    workspace.store.delete(key)
    with pytest.raises(ObjectMissing):
        read_bundle(workspace.store, ref.digest, keyring=workspace.keyring)


def test_something_that_is_no_bundle_is_refused(workspace: Workspace):
    for data in (b"{}", b"nonsense", b'{"kind":"bundle","format":1,"files":{}}', b"[]"):
        with pytest.raises(IntegrityError, match="is no model bundle"):
            read_bundle(workspace.store, put_object(workspace.store, data))
    with pytest.raises(IntegrityError, match="is no model bundle"):
        read_bundle(workspace.store, window(workspace, parts=1)["2011-01"].digest)


def test_a_bundle_without_a_part_says_which(workspace: Workspace):
    digest = write_bundle(workspace.store, {"schema.json": b'{"trainer":"lightgbm"}'})
    assert digest == bundle_digest({"schema.json": b'{"trainer":"lightgbm"}'})
    with pytest.raises(IntegrityError, match=r"has no model\.txt"):
        _ = read_bundle(workspace.store, digest).model_file


def test_scoring_without_a_needed_column_is_refused(workspace: Workspace):
    ref, _ = train(workspace, recipe(), window(workspace))
    with pytest.raises(ContractError, match="no column 'town'"):
        read_bundle(workspace.store, ref.digest).predict_raw(raw_rows().drop("town").lazy())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"columns": {"label": "cnt"}, "steps": ()}, "'label' is the label"),
        ({"columns": {}, "steps": ()}, "at least 1 item"),
        ({"steps": (Impute(columns=("warmht",)),)}, "did you mean 'warmth'"),
        ({"trainer": "lightgmb"}, "did you mean 'lightgbm'"),
        ({"parameters": {"num_leavs": 3}}, "did you mean 'num_leaves'"),
        ({"steps": ({"kind": "imputed", "columns": ["hr"]},)}, "imputed"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_recipe_declared_wrongly_is_refused(changes, words: str):
    with pytest.raises(DeclarationError, match=words):
        recipe(**changes)


def test_training_on_nothing_or_on_other_columns_says_what_to_do(workspace: Workspace):
    with pytest.raises(TrainingError, match="widen the training window"):
        train(workspace, recipe(rows="hr > 99"), window(workspace))
    with pytest.raises(TrainingError, match="widen the training window"):
        train(workspace, recipe(), {})
    with pytest.raises(TrainingError, match="training input 2011-01 lacks a declared column"):
        make_files(
            workspace.store,
            recipe(columns={"other": "hr"}, steps=()),
            Inputs(features={"2011-01": window(workspace)["2011-01"].digest}, raw={}),
        )
