"""The last gate: `deploy` refuses a missing, failed, foreign or altered report, and a model it is not about."""

from dataclasses import replace
from pathlib import Path

import pytest

from resources.canonical import canonical_json
from resources.errors import GateError, IntegrityError, ObjectMissing, SignatureError
from resources.judgement import champion_for, sign_report
from resources.promotion import Promotion
from resources.promotion import promote as promote_declared
from resources.refs import GateReport, ModelRef
from resources.settings import load_settings
from resources.training.bundle import write_bundle
from resources.workspace import Workspace, open_workspace

GATE = {"metric": "mae", "margin": 2.0}


def promote(workspace: Workspace, report: GateReport, challenger: ModelRef) -> Promotion:
    return promote_declared(workspace, report, challenger, pipeline="rides", gate=GATE)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))


def model(workspace: Workspace, name: str, *, signed: bool = True, pipeline="rides") -> ModelRef:
    files = {"model.txt": name.encode(), "lineage.json": canonical_json({"pipeline": pipeline})}
    digest = write_bundle(workspace.store, files, signer=workspace.signer if signed else None)
    return ModelRef(
        digest=digest,
        location=workspace.store.url,
        trainer="lightgbm",
        training_digests={},
        code_version="1",
        parameters={},
        seed=0,
    )


def report(
    workspace: Workspace,
    challenger: ModelRef,
    partition: str,
    champion: ModelRef | None = None,
    verdict="pass",
    **other,
) -> GateReport:
    fields = {"pipeline": "rides", "gate": GATE, **other}
    unsigned = GateReport(
        **fields, partition=partition, verdict=verdict, reasons=("because",), challenger=challenger.digest,
        champion=champion.digest if champion else None, inputs={}, measurements={},
    )  # fmt: skip
    return sign_report(workspace, unsigned)


def champion(workspace: Workspace) -> str | None:
    entry = workspace.registry("rides").champion()
    return entry.model.digest if entry else None


def test_a_passing_signed_report_moves_the_alias(workspace):
    first = model(workspace, "first")
    assert promote(workspace, report(workspace, first, "2011-02"), first).action == "promoted"
    assert champion(workspace) == first.digest


@pytest.mark.parametrize("verdict", ["inconclusive", "block"])
def test_a_report_that_does_not_pass_is_refused(workspace, verdict):
    first = model(workspace, "first")
    with pytest.raises(GateError, match=f"the gate says {verdict}: because"):
        promote(workspace, report(workspace, first, "2011-02", verdict=verdict), first)
    assert champion(workspace) is None


def test_a_warning_may_be_deployed(workspace):
    first = model(workspace, "first")
    assert promote(workspace, report(workspace, first, "2011-02", verdict="warn"), first).action == "promoted"


def test_a_report_without_signature_is_refused(workspace):
    first = model(workspace, "first")
    unsigned = replace(report(workspace, first, "2011-02"), signature="", key_id="")
    with pytest.raises(SignatureError):
        promote(workspace, unsigned, first)


def test_an_altered_report_is_refused(workspace):
    first = model(workspace, "first")
    blocked = report(workspace, first, "2011-02", verdict="block")
    with pytest.raises(SignatureError):
        promote(workspace, replace(blocked, verdict="pass"), first)
    assert champion(workspace) is None


def test_a_report_signed_by_an_unknown_key_is_refused(workspace, tmp_path):
    first = model(workspace, "first")
    stranger = open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path / "stranger")}))
    with pytest.raises(SignatureError):
        promote(workspace, report(stranger, first, "2011-02"), first)


def test_a_report_about_another_model_is_refused(workspace):
    first, second = model(workspace, "first"), model(workspace, "second")
    with pytest.raises(GateError, match="judges model"):
        promote(workspace, report(workspace, first, "2011-02"), second)


@pytest.mark.parametrize("of", ["report", "model"])
def test_a_report_or_model_of_another_pipeline_is_refused(workspace, of):
    first = model(workspace, "first", pipeline="flights" if of == "model" else "rides")
    judged = report(workspace, first, "2011-02", pipeline="flights" if of == "report" else "rides")
    with pytest.raises(GateError, match=f"the (gate )?{of} is of pipeline 'flights', not 'rides'"):
        promote(workspace, judged, first)
    assert champion(workspace) is None


def test_a_report_of_another_gate_than_the_declared_one_is_refused(workspace):
    first = model(workspace, "first")
    judged = report(workspace, first, "2011-02", gate=GATE | {"margin": 200.0})
    with pytest.raises(GateError, match="another gate than the declared one: materialize `evaluation` again"):
        promote(workspace, judged, first)


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_model_whose_bundle_was_damaged_after_its_judgement_is_refused(workspace, damage):
    first = model(workspace, "first")
    judged = report(workspace, first, "2011-02")
    part = next(key for key in workspace.store.list("files") if workspace.store.get(key) == b"first")
    workspace.store.delete(part)
    if damage == "altered":
        workspace.store.put(part, b"worse")
    with pytest.raises((IntegrityError, ObjectMissing)):
        promote(workspace, judged, first)
    assert champion(workspace) is None


def test_a_model_whose_bundle_is_unsigned_is_refused(workspace):
    first = model(workspace, "first", signed=False)
    with pytest.raises((SignatureError, ObjectMissing)):
        promote(workspace, report(workspace, first, "2011-02"), first)


def test_a_report_against_a_former_champion_is_refused(workspace):
    first, second, third = (model(workspace, name) for name in ("first", "second", "third"))
    promote(workspace, report(workspace, first, "2011-02"), first)
    stale = report(workspace, third, "2011-04", first)
    promote(workspace, report(workspace, second, "2011-03", first), second)
    with pytest.raises(GateError, match="in force now"):
        promote(workspace, stale, third)


def test_promoting_twice_changes_nothing(workspace):
    first = model(workspace, "first")
    judged = report(workspace, first, "2011-02")
    promote(workspace, judged, first)
    assert promote(workspace, judged, first).action == "unchanged"
    assert len(workspace.registry("rides").entries()) == 1


def test_a_model_of_an_earlier_partition_does_not_replace_a_later_champion(workspace):
    late, early = model(workspace, "late"), model(workspace, "early")
    promote(workspace, report(workspace, late, "2012-05"), late)
    outcome = promote(workspace, report(workspace, early, "2011-05"), early)
    assert outcome.action == "kept"
    assert champion(workspace) == late.digest


def test_a_model_that_was_rolled_back_stays_back(workspace):
    first, second = model(workspace, "first"), model(workspace, "second")
    promote(workspace, report(workspace, first, "2011-02"), first)
    judged = report(workspace, second, "2011-03", first)
    promote(workspace, judged, second)
    workspace.registry("rides").rollback(to=None, reason="complaints")
    with pytest.raises(GateError, match="was rolled back"):
        promote(workspace, judged, second)
    assert champion(workspace) == first.digest


def test_a_partition_judged_again_answers_to_the_same_champion(workspace):
    first, second = model(workspace, "first"), model(workspace, "second")
    promote(workspace, report(workspace, first, "2011-02"), first)
    before = champion_for(workspace.registry("rides"), second, "2011-03")
    promote(workspace, report(workspace, second, "2011-03", first), second)
    again = champion_for(workspace.registry("rides"), second, "2011-03")
    assert before == again == first


def test_a_model_trained_again_for_a_partition_answers_to_the_champion_of_that_partition(workspace):
    first, restated = model(workspace, "first"), model(workspace, "restated")
    promote(workspace, report(workspace, first, "2011-02"), first)
    assert champion_for(workspace.registry("rides"), restated, "2011-02") == first
    assert promote(workspace, report(workspace, restated, "2011-02", first), restated).action == "promoted"


def test_a_champion_that_has_seen_the_rows_is_no_measure(workspace):
    early, late, other = model(workspace, "early"), model(workspace, "late"), model(workspace, "other")
    promote(workspace, report(workspace, early, "2011-02"), early)
    promote(workspace, report(workspace, late, "2012-02", early), late)
    assert champion_for(workspace.registry("rides"), other, "2011-06") == early


def test_without_partitions_a_model_answers_to_the_champion_before_itself(workspace):
    first, second = model(workspace, "first"), model(workspace, "second")
    promote(workspace, report(workspace, first, ""), first)
    promote(workspace, report(workspace, second, "", first), second)
    assert champion_for(workspace.registry("rides"), second, None) == first
    assert champion_for(workspace.registry("rides"), first, None) is None
