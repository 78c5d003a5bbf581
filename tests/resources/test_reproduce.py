"""A model is made again bit for bit from its own bundle, or told in plain words what differs."""

import subprocess
import sys
from pathlib import Path

import pytest

from resources.canonical import canonical_json, parse_json
from resources.errors import DeclarationError, ObjectMissing, SignatureError
from resources.storage.manifest import read_manifest
from resources.training import environment
from resources.training.bundle import read_bundle, write_bundle
from resources.training.code_version import code_version
from resources.training.reproduce import reproduce
from resources.training.train import train
from resources.workspace import Workspace
from tests.resources.test_bundle import opened, recipe, window


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return opened(tmp_path)


def trained(workspace: Workspace, **changes: object) -> str:
    return train(workspace, recipe(**changes), window(workspace))[0].digest


@pytest.mark.parametrize(
    ("trainer", "parameters"),
    [("lightgbm", {"num_iterations": 5}), ("sklearn", {"estimator": "HistGradientBoostingRegressor", "max_iter": 5})],
)
def test_a_model_is_made_again_bit_for_bit(workspace: Workspace, trainer: str, parameters: dict[str, object]):
    digest = trained(workspace, trainer=trainer, parameters=parameters, rows="hr > 2")
    result = reproduce(workspace, digest)
    assert (result.equal, result.model_equal, result.actual, result.differences) == (True, True, digest, ())


def forged(workspace: Workspace, digest: str, name: str, change) -> str:
    """Return the digest of the same bundle with one file changed, signed by this workspace."""
    bundle = read_bundle(workspace.store, digest)
    value = parse_json(bundle.files[name])
    change(value)
    return write_bundle(workspace.store, {**bundle.files, name: canonical_json(value)}, signer=workspace.signer)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("code_version", "0" * 16, "code version: trained by 0000000000000000, the present code is"),
        ("lock_digest", "1" * 64, "lock file: trained with 111111111111"),
        ("libraries", {"lightgbm": "1.0"}, "library lightgbm: trained with 1.0,"),
    ],
)
def test_other_surroundings_are_named_and_the_model_file_compared_all_the_same(
    workspace: Workspace, key: str, value: object, words: str
):
    digest = forged(workspace, trained(workspace), "lineage.json", lambda lineage: lineage.update({key: value}))
    result = reproduce(workspace, digest)
    assert not result.equal
    assert result.model_equal
    assert any(line.startswith(words) for line in result.differences)
    assert not any(line.startswith("file") for line in result.differences)


def test_a_changed_lock_file_shows_as_a_difference(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    digest = trained(workspace)
    lock = tmp_path / "requirements.lock"
    lock.write_text("lightgbm==99\n")
    monkeypatch.setattr(environment, "LOCK_FILE", lock)
    result = reproduce(workspace, digest)
    assert result.model_equal
    assert [line.partition(":")[0] for line in result.differences] == ["lock file"]


def test_a_model_file_that_was_not_trained_so_is_named(workspace: Workspace):
    bundle = read_bundle(workspace.store, trained(workspace))
    other = read_bundle(workspace.store, trained(workspace, seed=6, parameters={"num_iterations": 9}))
    files = {**bundle.files, "model.txt": other.files["model.txt"]}
    result = reproduce(workspace, write_bundle(workspace.store, files, signer=workspace.signer))
    assert (result.equal, result.model_equal) == (False, False)
    assert [line.partition(":")[0] for line in result.differences] == ["file model.txt"]


def test_missing_and_altered_inputs_are_named_with_their_partition(workspace: Workspace):
    digest = trained(workspace)
    dataset = read_bundle(workspace.store, digest).lineage["features"]["2011-02"]
    workspace.store.delete(read_manifest(workspace.store, dataset).shards[0].file.key)
    result = reproduce(workspace, digest)
    assert (result.equal, result.actual) == (False, "")
    assert result.differences[0].startswith("input: training input 2011-02: ")


def test_a_declaration_that_this_version_refuses_is_a_difference_of_the_code(workspace: Workspace):
    def misspell(value):
        value["trainer"] = "lightgbm2"

    result = reproduce(workspace, forged(workspace, trained(workspace), "declaration.json", misspell))
    assert "no longer accepts the recorded declaration" in result.differences[0]


def test_only_signed_models_that_exist_are_reproduced(workspace: Workspace):
    with pytest.raises(SignatureError):
        reproduce(workspace, write_bundle(workspace.store, {"schema.json": b"{}"}))
    with pytest.raises((ObjectMissing, SignatureError)):
        reproduce(workspace, "0" * 64)


def test_reproduction_stores_nothing(workspace: Workspace):
    digest = trained(workspace)
    before = workspace.store.list("")
    reproduce(workspace, digest)
    assert workspace.store.list("") == before


def test_the_code_version_follows_source_and_declaration_only(tmp_path: Path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "one.py").write_text("raise RuntimeError('imported')\n")
    (package / "two.py").write_text("x = 1\n")
    first = code_version("pack", declaration={"a": 1}, root=tmp_path)
    assert len(first) == 16
    assert first == code_version("pack", declaration={"a": 1}, root=tmp_path)
    assert first != code_version("pack.one", declaration={"a": 1}, root=tmp_path)
    assert first != code_version("pack", declaration={"a": 2}, root=tmp_path)
    (package / "two.py").write_text("x = 2\n")
    assert first != code_version("pack", declaration={"a": 1}, root=tmp_path)


def test_an_unknown_module_has_no_code_version(tmp_path: Path):
    with pytest.raises(DeclarationError, match=r"no module 'pack\.three'"):
        code_version("pack.three", declaration={}, root=tmp_path)


def test_every_module_of_a_training_code_version_is_there():
    for trainer, parameters in (("lightgbm", {}), ("sklearn", {"estimator": "Ridge"})):
        assert len(environment.training_code_version(recipe(trainer=trainer, parameters=parameters))) == 16


@pytest.mark.slow
def test_a_bundle_is_the_same_on_one_core_and_on_many(tmp_path: Path):
    root = Path(__file__).resolve().parents[2]
    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from tests.resources.test_bundle import *\n"
        "w = opened(pathlib.Path(sys.argv[2])); big = {'1': features(w, raw_rows(60_000))}\n"
        "print(train(w, recipe(), big)[0].digest)\n"
        "print(train(w, recipe(trainer='sklearn', parameters={'estimator': 'Ridge'}), big)[0].digest)\n"
    )
    found = set[str]()
    for threads in ("1", "5"):
        env = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), threads)
        command = [sys.executable, "-c", script, str(root), str(tmp_path / threads)]
        found.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1
