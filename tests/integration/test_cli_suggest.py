"""`penstock suggest`: rules from the partitions that ran, which those partitions keep."""

from pathlib import Path

import pytest
import yaml

from quality.contract import Contract
from quality.suites.declared import check_suite
from tests.integration.shell import NAME, Shell

pytestmark = pytest.mark.slow


def test_the_suggestion_is_yaml_that_a_pipeline_takes(empty: Shell, tmp_path: Path):
    empty.declare(NAME)
    empty("run", NAME, "--from", "2024-01", "--to", "2024-03", "--quiet")
    done = empty("suggest", NAME, "--to", str(tmp_path / "rules.yaml"))
    assert done.code == 0, done.err
    read = yaml.safe_load((tmp_path / "rules.yaml").read_text(encoding="utf-8"))
    contract = Contract.model_validate(read["contract"])
    check_suite(read["expectations"], columns=contract.columns)
    told = empty("suggest", NAME, "--json").json
    assert len(told["expectations"]) == len(read["expectations"])
    assert all(item["meta"]["evidence"] for item in told["expectations"])


@pytest.mark.parametrize(
    ("arguments", "told"), [((NAME, "--partition", "2030-01"), "was not run"), (("cofee",), "cofee")]
)
def test_what_cannot_be_learned_from_is_refused(shell: Shell, arguments: tuple[str, ...], told: str):
    done = shell("suggest", *arguments)
    assert done.code == 1
    assert told in done.err


def test_too_few_partitions_are_told_with_what_to_run(shell: Shell):
    done = shell("suggest", NAME, "--partition", "2024-02")
    assert done.code == 1
    assert f"penstock run {NAME} --from" in done.err
