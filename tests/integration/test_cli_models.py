"""What is done with models on the command line: log, rollback, lineage, reproduction, signatures."""

import re
from pathlib import Path

import pytest

from tests.integration.shell import NAME, PARTITIONS, Shell

pytestmark = pytest.mark.slow


def test_models_shows_the_verified_log(shell: Shell):
    log = shell("models", NAME, "--json").json
    assert [entry["partition"] for entry in log["entries"]] == list(PARTITIONS)
    assert log["verified"]
    assert all(entry["metric"].startswith("mae ") for entry in log["entries"])
    shown = shell("models", NAME).out
    assert "2 champion" in shown
    assert "2 entries; chain and signatures verified" in shown


def test_rollback_returns_to_an_earlier_champion_and_keeps_the_reason(empty: Shell):
    empty.declare(NAME)
    empty("run", NAME, "--from", "2024-02", "--to", "2024-03", "--quiet")
    first = empty("models", NAME, "--json").json["entries"][0]["model"]["digest"]
    done = empty("rollback", NAME, "--to", first[:10], "--reason", "sells too little")
    entries = empty("models", NAME, "--json").json["entries"]
    assert done.code == 0, done.err
    assert (entries[-1]["action"], entries[-1]["reason"]) == ("rollback", "sells too little")
    assert entries[-1]["model"]["digest"] == first
    assert empty("rollback", NAME, "--to", first, "--reason", "again").code == 1
    assert "put back as entry 3" in empty("summary", NAME).out


def test_lineage_leads_from_a_pipeline_to_the_raw_file_and_back_down(shell: Shell):
    champion = shell("models", NAME, "--json").json["entries"][-1]["model"]["digest"]
    up = shell("lineage", NAME, "--json").json
    assert up["digest"] == champion
    source = up["children"][0]["children"][0]["children"][0]
    assert source["kind"] == "source"
    assert "coffee-lookalike.csv" in source["title"]
    down = shell("lineage", source["digest"][:10], "--down")
    assert champion[:12] in down.out
    by_asset = shell("lineage", f"{NAME}/raw@2024-02", "--json").json
    assert by_asset["title"] == f"{NAME}/raw 2024-02"


@pytest.mark.parametrize("name", ["ffffff", "abc", "coffee/raw", "coffee/raw@2030-01", "nothing/raw@2024-01"])
def test_a_name_of_nothing_is_refused_with_a_hint(shell: Shell, name: str):
    done = shell("lineage", name)
    assert done.code == 1
    assert re.search(r"give|write|penstock run|A name is", done.err)


def test_reproduce_makes_the_champion_again_bit_for_bit(shell: Shell):
    done = shell("reproduce", NAME, "--json")
    assert done.code == 0
    assert done.json["expected"] == done.json["actual"]


def test_verify_checks_log_champion_and_report(shell: Shell):
    verified = shell("verify", NAME, "--json").json
    log, model, report = verified
    assert (log["entries"], model["pipeline"], report["verdict"]) == (2, NAME, "pass")
    assert shell("verify", report["report"][:12]).code == 0


def test_verify_refuses_what_was_altered_or_signed_by_another(empty: Shell, tmp_path: Path):
    empty.declare(NAME)
    empty("run", NAME, "--partition", "2024-02", "--quiet")
    foreign = empty("verify", NAME, PENSTOCK_KEY=str(tmp_path / "other.pem"))
    assert foreign.code == 1
    assert "unknown key" in foreign.err
    model = empty("models", NAME, "--json").json["entries"][0]["model"]["digest"]
    path = empty.home.folder / "penstock" / "store" / "objects" / model[:2] / model
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"size_bytes":', b'"size_bites":'))
    altered = empty("verify", NAME)
    assert altered.code == 1
    assert model[:12] in altered.err


def test_key_lets_another_installation_trust_what_is_signed_here(shell: Shell, tmp_path: Path):
    shown = shell("key", "--json").json
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "us.pem").write_text(shell("key").out)
    assert (trusted / "us.pem").read_text() == shown["public_key"]
    elsewhere = {"PENSTOCK_KEY": str(tmp_path / "other.pem")}
    assert shell("models", NAME, **elsewhere).code == 1
    assert shell("models", NAME, PENSTOCK_TRUSTED_KEYS=str(trusted), **elsewhere).code == 0
