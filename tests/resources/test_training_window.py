"""Training rows come by way of the loader: the same rows in the same order as whole columns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from resources.errors import DeclarationError, LoaderError, TrainingError
from resources.loader import Loader
from resources.loader.shuffled import write_shuffled
from resources.refs import DatasetRef
from resources.source.spec import EventTime
from resources.storage.datasets import read_frame
from resources.training import window as window_module
from resources.training.bundle import read_bundle
from resources.training.cursor import Cursor
from resources.training.protocol import TrainingSet, trainer_named
from resources.training.reproduce import reproduce
from resources.training.samples import WindowSamples
from resources.training.train import train
from resources.training.window import Window
from resources.transform.expressions import apply_columns
from resources.transform.fitted import fit_transform
from resources.transform.steps import Impute, Standardize
from resources.workspace import Workspace
from tests.resources.test_bundle import COLUMNS, STEPS, opened, raw_rows, recipe, window


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return opened(tmp_path)


def packed(workspace: Workspace, rows: int = 300, seed: int = 0) -> DatasetRef:
    """Store features as preprocessing does."""
    made = apply_columns(raw_rows(max(rows, 1), seed).lazy(), {**COLUMNS, "label": "cnt"}, keep=["ts"]).collect()
    return write_shuffled(workspace.store, made[:rows], scratch=workspace.scratch, keep=["ts", "label"])


def packed_window(workspace: Workspace, parts: int = 3) -> dict[str, DatasetRef]:
    return {f"2011-{part + 1:02}": packed(workspace, 100 * (part + 1), part) for part in range(parts)}


def rows_of(workspace: Workspace, refs: dict[str, DatasetRef], **changes: object) -> Window:
    return Window(workspace.store, recipe(**changes), {key: ref.digest for key, ref in refs.items()})


@pytest.mark.parametrize("stored", [window, packed_window])
@pytest.mark.parametrize("condition", ["", "hr > 2 AND sky <> 'mist'"])
def test_batches_are_the_rows_of_whole_columns_in_their_order(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, stored, condition: str
):
    monkeypatch.setattr(window_module, "BATCH_ROWS", (7, 64))
    rows = rows_of(workspace, stored(workspace), rows=condition)
    batches = list(rows.batches())
    assert len(batches) > 5
    assert_frame_equal(pl.concat(batches), rows.frame(rows.columns))
    assert rows.loading.passes == 1
    assert rows.loading.rows == sum(ref.rows for ref in stored(workspace).values())
    assert rows.loading.elapsed_s >= rows.loading.waited_s > 0


def test_columns_are_read_some_at_a_time_where_all_are_too_many(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    rows = rows_of(workspace, packed_window(workspace))
    whole = list(rows.frames())
    monkeypatch.setattr(window_module, "FRAME_BYTES", 2 * 8 * whole[0].height)
    some = list(rows.frames())
    assert [len(whole), len(some)] == [1, 4]
    assert_frame_equal(pl.concat(some, how="horizontal"), whole[0])


def test_a_model_is_the_same_however_few_columns_and_rows_are_read_at_a_time(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    refs = packed_window(workspace)
    digest = train(workspace, recipe(), refs)[0].digest
    monkeypatch.setattr(window_module, "FRAME_BYTES", 1)
    monkeypatch.setattr(window_module, "BATCH_ROWS", (50, 50))
    assert train(workspace, recipe(), refs)[0].digest == digest
    assert reproduce(workspace, digest).equal


def test_shuffled_rows_are_all_rows_in_another_order_each_epoch(workspace: Workspace):
    rows = rows_of(workspace, packed_window(workspace))
    passes = [pl.concat(list(rows.batches(shuffled=True, epoch=epoch))) for epoch in (0, 1, 0)]
    assert_frame_equal(passes[0], passes[2])
    assert not passes[0].equals(passes[1])
    plain = rows.frame(rows.columns)
    assert_frame_equal(passes[1].sort(rows.columns), plain.sort(rows.columns))


def test_features_of_batches_are_those_of_the_transform_that_serving_applies(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(window_module, "BATCH_ROWS", (30, 30))
    rows = rows_of(workspace, packed_window(workspace))
    frame = rows.frame(rows.columns)
    transform = fit_transform(COLUMNS, STEPS, frame)
    label = frame["label"].cast(pl.Float64).to_numpy()
    samples = WindowSamples(rows, transform, label)
    np.testing.assert_array_equal(samples.matrix, transform.matrix(frame.lazy()))
    features, labels = (np.concatenate(parts) for parts in zip(*samples.shuffled(3), strict=True))
    order, other = np.lexsort([*features.T, labels]), np.lexsort([*samples.matrix.T, label])
    np.testing.assert_array_equal(features[order], samples.matrix[other])
    np.testing.assert_array_equal(labels[order], label[other])


def test_shuffled_rows_go_on_from_the_state_before_any_of_their_batches(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(window_module, "BATCH_ROWS", (30, 30))
    rows = rows_of(workspace, packed_window(workspace), rows="hr > 2")
    marked = list(rows.shuffled_from(2))
    assert len(marked) > 15
    whole = pl.concat(list(rows.batches(shuffled=True, epoch=2)))
    assert_frame_equal(pl.concat([frame for _, frame in marked]), whole)
    for place in (0, 1, 7, len(marked) - 1):
        rest = [frame for _, frame in rows.shuffled_from(2, marked[place][0])]
        assert_frame_equal(pl.concat(rest), pl.concat([frame for _, frame in marked[place:]]))


def test_a_state_of_another_window_is_refused(workspace: Workspace):
    refs = packed_window(workspace)
    [(state, _), *_] = rows_of(workspace, refs).shuffled_from(0)
    fewer = rows_of(workspace, {key: refs[key] for key in list(refs)[:2]})
    with pytest.raises(TrainingError, match="the state is of dataset"):
        list(fewer.shuffled_from(0, state))


def by_time(workspace: Workspace) -> Window:
    return rows_of(workspace, packed_window(workspace), event_time=EventTime(column="ts"), rows="hr > 2")


def test_the_latest_rows_are_held_out_by_event_time_and_no_row_is_lost(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(window_module, "BATCH_ROWS", (50, 50))
    rows = by_time(workspace)
    rest, latest, are_latest = rows.parted(0.2)
    plain = rows.frame([*rows.columns, "ts"])
    limit = plain["ts"].sort()[int(0.8 * plain.height)]
    assert are_latest.tolist() == (plain["ts"] >= limit).to_list()
    assert_frame_equal(pl.concat(list(latest.batches())), plain.filter(pl.col("ts") >= limit).select(rows.columns))
    assert_frame_equal(pl.concat(list(rest.batches())), plain.filter(pl.col("ts") < limit).select(rows.columns))
    mixed = pl.concat(list(rest.batches(shuffled=True)))
    assert mixed.height == (~are_latest).sum()
    assert rows.loading.passes == 3


def test_rows_of_a_hash_split_are_held_out_by_their_bucket(workspace: Workspace):
    made = apply_columns(raw_rows(400).lazy(), {**COLUMNS, "label": "cnt"}).collect()
    made = made.with_columns(pl.Series("split_bucket", np.arange(400) * 25, dtype=pl.UInt16))
    ref = write_shuffled(workspace.store, made, scratch=workspace.scratch, keep=["label", "split_bucket"])
    rows = rows_of(workspace, {"": ref}, rows="split_bucket >= 2000")
    rest, latest, are_latest = rows.parted(0.25)
    assert (are_latest.sum(), len(are_latest)) == (80, 320)
    assert [part.frame(["split_bucket"])["split_bucket"].min() for part in (rest, latest)] == [2000, 8000]
    assert rest.frame(["split_bucket"])["split_bucket"].max() == 7975


def test_samples_are_parted_with_their_labels(workspace: Workspace):
    rows = by_time(workspace)
    frame = rows.frame(rows.columns)
    transform = fit_transform(COLUMNS, STEPS, frame)
    rest, latest = WindowSamples(rows, transform, frame["label"].cast(pl.Float64).to_numpy()).parted(0.3)
    assert transform.categories == {"sky": 3}
    for part in (rest, latest):
        assert part.matrix.shape == (len(part.label), len(transform.output))
        labels = np.concatenate([label for _, label in part.shuffled(0)])
        assert sorted(labels.tolist()) == sorted(part.label.tolist())


def test_rows_of_one_time_cannot_be_parted(workspace: Workspace):
    made = apply_columns(raw_rows(50).lazy(), {**COLUMNS, "label": "cnt"}, keep=["ts"]).collect()
    ref = write_shuffled(
        workspace.store,
        made.with_columns(pl.col("ts").first()),
        scratch=workspace.scratch,
        keep=["ts", "label"],
    )
    rows = rows_of(workspace, {"": ref}, event_time=EventTime(column="ts"))
    with pytest.raises(TrainingError, match=r"the latest 0.1 of the rows by 'ts', but all 50 are of 2011"):
        rows.parted(0.1)


class InBatches(TrainingSet):
    """The same samples, some at a time."""

    __slots__ = ()

    def batches(self):
        for start in range(0, len(self.label), 37):
            yield self.matrix[start : start + 37]


@pytest.mark.parametrize("more", [{}, {"linear_tree": True}, {"bin_construct_sample_cnt": 50}])
def test_lightgbm_learns_from_batches_what_the_library_learns_from_the_matrix(more):
    import lightgbm

    draw = np.random.default_rng(4)
    matrix = np.column_stack([draw.normal(size=500), draw.integers(0, 4, 500), draw.normal(size=500)])
    matrix[::7, 0], matrix[::5, 2] = np.nan, 0
    given = {"label": 2 * np.nan_to_num(matrix[:, 0]) + (matrix[:, 1] == 2), "feature_names": ("a", "b", "c")}
    data = InBatches(matrix=matrix, categorical=("b",), **given)
    model = trainer_named("lightgbm").fit(data, {"num_iterations": 8, **more}, 3)
    settings = {
        "deterministic": True, "force_row_wise": True, "verbosity": -1, "seed": 3, "data_random_seed": 3,
        "num_threads": 1, "objective": "regression", **more,
    }  # fmt: skip
    known = lightgbm.Dataset(
        matrix, label=given["label"], feature_name=["a", "b", "c"], categorical_feature=[1], params=settings
    )
    assert lightgbm.train(settings, known, num_boost_round=8).model_to_string().encode() == model


@pytest.mark.parametrize("estimator", ["SGDRegressor", "SGDClassifier"])
def test_epochs_fit_an_estimator_batch_by_batch_to_the_same_bits(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, estimator: str
):
    monkeypatch.setattr(window_module, "BATCH_ROWS", (100, 100))
    refs = packed_window(workspace)
    task = "label" if estimator == "SGDRegressor" else "rush"
    columns = {name: text for name, text in COLUMNS.items() if name != task}
    steps = (Impute(columns=("warmth", "share")), Standardize(columns=("hr", "warmth", "share")), *STEPS[3:])
    declared = recipe(
        trainer="sklearn", parameters={"estimator": estimator, "epochs": 3}, columns=columns, steps=steps, label=task
    )
    ref, facts = train(workspace, declared, refs)
    assert facts["loading"]["passes"] == 3
    assert reproduce(workspace, ref.digest).equal
    bundle = read_bundle(workspace.store, ref.digest)
    assert np.isfinite(bundle.predict_raw(raw_rows(seed=9).lazy())).all()
    assert train(workspace, declared.model_copy(update={"seed": 6}), refs)[0].digest != ref.digest


def test_more_epochs_learn_more():
    draw = np.random.default_rng(1)
    matrix = draw.normal(size=(4000, 2))
    data = TrainingSet(matrix=matrix, label=3 * matrix[:, 0] - matrix[:, 1], feature_names=("a", "b"))
    trainer = trainer_named("sklearn")

    def error(epochs: int) -> float:
        file = trainer.fit(data, {"estimator": "SGDRegressor", "epochs": epochs, "eta0": 0.0001}, 0)
        return float(np.abs(trainer.load(file).predict(matrix) - data.label).mean())

    assert error(8) < error(2) < error(1)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"estimator": "Ridge", "epochs": 2}, "Ridge learns from all rows at once: .*SGDClassifier, SGDRegressor"),
        ({"estimator": "SGDRegressor", "epochs": 0}, "at least 1, got 0"),
        ({"estimator": "SGDRegressor", "epochs": True}, "at least 1, got True"),
        ({"estimator": "SGDRegressor", "epochs": 2, "max_iter": 5}, "max_iter: epochs says when training ends"),
        ({"estimator": "SGDClassifier", "loss": "hinge"}, "'hinge' gives no probability"),
    ],
)
def test_epochs_that_cannot_be_trained_for_are_refused(parameters: dict[str, object], words: str):
    with pytest.raises(DeclarationError, match=words):
        trainer_named("sklearn").check("train.parameters", parameters)


def test_a_model_of_packed_features_is_signed_and_scores(workspace: Workspace):
    ref, facts = train(workspace, recipe(), packed_window(workspace))
    bundle = read_bundle(workspace.store, ref.digest, keyring=workspace.keyring)
    assert np.isfinite(bundle.predict_raw(raw_rows(seed=9).lazy())).all()
    assert facts["rows"] == 600
    assert facts["loading"]["rows"] >= 600
    assert facts["loading"]["training_s"] > facts["loading"]["waited_s"]


def test_datasets_of_other_columns_are_not_trained_on_together(workspace: Workspace):
    refs = {**window(workspace, parts=1), "2011-02": packed(workspace)}
    with pytest.raises(TrainingError, match="need one schema; make them again"):
        train(workspace, recipe(), refs)


def test_a_loader_joins_datasets_row_after_row_and_leaves_out_those_without(workspace: Workspace):
    refs = [packed(workspace, 40, 1), packed(workspace, 0), packed(workspace, 60, 2)]
    loader = Loader(refs, 33, columns=["hr", "share"], order="sequential", store=workspace.store)
    found = np.concatenate([np.asarray(batch["hr"]) for batch in loader.numpy()])
    expected = pl.concat(read_frame(workspace.store, ref.digest, ["hr"]) for ref in refs)
    assert found.tolist() == expected["hr"].to_list()
    one = Loader(refs[:1], 33, store=workspace.store)
    assert one.state().root == refs[0].digest
    assert loader.state().root != Loader(refs[::-1], 33, store=workspace.store).state().root


def test_datasets_and_files_are_not_loaded_together(workspace: Workspace, tmp_path: Path):
    with pytest.raises(LoaderError, match="give one or the other"):
        Loader([packed(workspace), tmp_path], 10, store=workspace.store)  # pyright: ignore[reportArgumentType]


def test_a_dataset_that_is_not_there_is_named(workspace: Workspace):
    ref = replace(packed(workspace), digest="5" * 64)
    with pytest.raises(Exception, match="5555"):
        Loader([ref, ref], 10, store=workspace.store)


def test_a_cursor_gives_rows_across_batches_and_begins_anew_for_earlier_ones():
    begun = list[int]()

    def batches():
        begun.append(1)
        for start in range(0, 10, 4):
            yield np.arange(start, min(start + 4, 10), dtype=np.float64).reshape(-1, 1)

    cursor = Cursor(batches)
    assert [cursor.rows(row, row + 1)[0, 0] for row in (0, 3, 4, 9)] == [0, 3, 4, 9]
    assert cursor.rows(2, 9)[:, 0].tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert len(begun) == 2
    with pytest.raises(IndexError, match="row 10"):
        cursor.rows(8, 11)
