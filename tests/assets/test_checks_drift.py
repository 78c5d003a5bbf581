"""Checks of drift: against earlier partitions or a reference, column by column and of columns together."""

import polars as pl
import pytest

from assets.checks import drift_check, multivariate_drift_check
from assets.checks.drift import multivariate
from quality.profile import profile
from resources import kept
from tests.assets.projects import ERROR, WARN, Project, changed, folder, key, orders_of, told_failure, weekly

__all__ = ["folder"]
pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")


class TestDrift:
    """Profiles of earlier partitions come from the event log, or from a folder."""

    @pytest.mark.slow
    def test_it_compares_with_the_partitions_before(self):
        project = Project(lambda asset: drift_check(asset, window=3, ignore=["order"]))
        assert project.found(0).description == "nothing to compare with: no earlier partition of orders was checked"
        calm = project.days(12, start=1)
        assert (calm.passed, calm.metadata["past_pairs"].value) == (True, 9)
        found = project.found(13, changed(amount=pl.col("amount") * 2))
        assert (found.passed, found.severity, found.metadata["flagged"].value) == (False, WARN, 1)
        assert found.description.startswith("amount: distribution moved by ")
        assert "past partitions differ by up to" in found.description

    @pytest.mark.slow
    def test_a_lasting_change_is_news_once_and_teaches_nothing_of_what_is_usual(self):
        project = Project(lambda asset: drift_check(asset, window=1, columns=["amount"]))
        project.days(10)
        doubled = changed(amount=pl.col("amount") * 2)
        assert [project.found(10, doubled).passed, project.found(11, doubled).passed] == [False, True]
        assert not project.found(12, orders_of).passed

    @pytest.mark.slow
    def test_a_weekend_is_no_drift_before_the_past_can_tell_and_none_after(self):
        project = Project(lambda asset: drift_check(asset, columns=["amount"]), give=weekly)
        early = [project.found(day) for day in range(15)]  # the first day is a Monday
        assert all(one.passed for one in early)
        assert early[4].description == "no drift in 1 column"
        assert early[5].metadata["flagged"].value == 0
        assert early[5].description.startswith(
            "too little history to tell drift from a season: needs 4 more partitions; not judged: amount (ks "
        )
        assert project.found(15).description == project.found(19).description == "no drift in 1 column"
        doubled = project.found(20, lambda partition: weekly(partition).with_columns(amount=pl.col("amount") * 3))
        assert doubled.description.startswith("amount: distribution moved by ")

    def test_whoever_asks_for_no_past_is_warned_of_a_weekend(self):
        project = Project(lambda asset: drift_check(asset, columns=["amount"], past=0), give=weekly)
        project.found(3)
        project.found(4)
        found = project.found(5)
        assert (found.passed, "too little history" in found.description) == (False, False)

    def test_a_declared_reference_warns_from_the_first_partition_on_and_says_what_it_cannot_tell(self):
        project = Project(lambda asset: drift_check(asset, reference=weekly(key(0)), columns=["amount"]), give=weekly)
        found = project.found(5)
        assert not found.passed
        assert found.description.startswith("amount: distribution moved by ")
        assert found.description.endswith("; too little history to tell drift from a season: needs 8 more partitions")

    def test_a_column_that_is_gone_or_of_another_type_is_told(self):
        project = Project(lambda asset: drift_check(asset, window=3, columns=["amount", "kind"]))
        project.days(2)
        gone = project.found(2, lambda partition: orders_of(partition).drop("kind"))
        assert gone.description == "kind: the batch lacks this column"
        project.found(2, orders_of)
        typed = project.found(3, changed(amount=pl.col("amount").cast(pl.String)))
        assert typed.description.startswith("amount: String in the batch, Float64 in the reference")

    def test_a_backfill_in_any_order_sees_earlier_partitions_only(self):
        project = Project(lambda asset: drift_check(asset, window=2, columns=["amount"], past=0))
        project.found(5, changed(amount=pl.col("amount") * 3))
        assert project.found(3, orders_of).description.startswith("nothing to compare with")
        assert project.found(4, orders_of).passed
        assert not project.found(5, changed(amount=pl.col("amount") * 3)).passed

    def test_a_partition_that_is_made_again_counts_once_with_its_newest_rows(self):
        project = Project(lambda asset: drift_check(asset, window=1, columns=["amount"]))
        project.found(0, changed(amount=pl.col("amount") * 3))
        project.found(0, orders_of)
        assert project.found(1, orders_of).passed

    @pytest.mark.parametrize("as_profile", [False, True])
    def test_a_declared_reference_is_rows_or_a_profile(self, as_profile):
        rows = orders_of(None, rows=2_000).select("amount", "kind")
        reference = profile(rows) if as_profile else rows
        project = Project(lambda asset: drift_check(asset, reference=reference, past=20))
        assert project.found(0).passed
        assert not project.found(1, changed(amount=pl.col("amount") + 20)).passed

    @pytest.mark.slow
    def test_a_declared_reference_may_change_with_the_partition_and_has_a_past_too(self):
        project = Project(
            lambda asset: drift_check(asset, reference=lambda _: orders_of(None), columns=["amount"], past=20)
        )
        assert project.days(9).metadata["past_pairs"].value == 8

    def test_profiles_too_large_for_the_event_log_go_to_a_folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr(kept, "INLINE_BYTES", 1_000)
        refused = told_failure(Project(drift_check).run(key(0)))
        assert "give keep_in=..., a folder or fsspec URL that all runs reach" in refused
        project = Project(
            lambda asset: drift_check(asset, window=1, ignore=["order"], keep_in=str(tmp_path / "profiles"))
        )
        project.found(0)
        assert project.found(1).metadata["flagged"].value == 0
        assert len(list((tmp_path / "profiles").glob("*.json"))) == 2

    def test_a_kept_profile_that_is_lost_or_altered_is_no_silent_pass(self, tmp_path):
        project = Project(lambda asset: drift_check(asset, window=1, keep_in=str(tmp_path)))
        project.found(0)
        (file,) = tmp_path.glob("*.json")
        whole = file.read_bytes()
        file.write_bytes(whole.replace(b"1", b"2"))
        assert "was altered" in told_failure(project.run(key(1)))
        file.unlink()
        assert "restore it, give a keep_in that all runs reach" in told_failure(project.run(key(1)))

    def test_predictions_have_a_check_of_their_own(self):
        scored = changed(prediction=pl.col("amount") / 60)
        project = Project(
            lambda asset: drift_check(asset, name="prediction_drift", columns=["prediction"], window=2, past=0)
        )
        project.give = scored
        project.days(3)
        found = project.found(3, changed(prediction=pl.col("amount") / 30))
        assert (found.check_name, found.passed) == ("prediction_drift", False)


class TestMultivariateDrift:
    """A classifier sees columns that part while each stays as it was."""

    @pytest.mark.slow
    def test_columns_that_part_are_seen(self):
        rows = orders_of(None, rows=2_000)
        project = Project(
            lambda asset: multivariate_drift_check(asset, reference=rows, columns=["amount", "weight", "kind"])
        )
        assert project.found(0, lambda _: orders_of(key(3), rows=1_000)).passed
        found = project.found(
            1, lambda _: orders_of(key(4), rows=1_000).with_columns(weight=pl.col("weight").shuffle(seed=1))
        )
        assert (found.passed, found.metadata["auc"].value > 0.6) == (False, True)
        assert "| weight |" in found.metadata["by"].value

    @pytest.mark.slow
    def test_what_is_usual_is_no_news(self):
        rows = orders_of(None, rows=500).select("amount")
        project = Project(lambda asset: multivariate_drift_check(asset, reference=rows, severity=ERROR))
        project.give = changed(amount=pl.col("amount") + 4)
        first, last = project.days(1), project.days(8, start=1)
        assert (first.passed, first.severity) == (False, ERROR)
        assert (last.passed, last.metadata["past_pairs"].value) == (True, 8)
        assert "past partitions reach up to" in last.description
        assert not project.found(9, changed(amount=pl.col("amount") + 30)).passed

    def test_healthy_areas_about_one_half_hide_no_columns_that_part(self):
        sides = (
            orders_of(key(3), rows=1_000),
            orders_of(key(4), rows=1_000).with_columns(weight=pl.col("weight").shuffle(seed=1)),
        )
        areas = [0.49, 0.51, 0.5, 0.505, 0.48, 0.52, 0.495, 0.502]
        told = multivariate(sides, columns=["amount", "weight"], tolerance=0.05, alpha=0.01, areas=areas)
        assert (told.verdict, round(told.shown["auc_usual"], 2)) == ("warn", 0.58)

    def test_too_few_rows_are_not_judged_and_say_so(self):
        few = orders_of(None, rows=20)
        found = Project(lambda asset: multivariate_drift_check(asset, reference=few)).found(0)
        assert (found.passed, found.description.startswith("not judged: ")) == (True, True)
