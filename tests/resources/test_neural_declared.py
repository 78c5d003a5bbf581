"""What may be declared of the trainer `torch`, and how it is refused: all of it without PyTorch."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import DeclarationError, TrainingError
from resources.settings import PROJECT_ROOT
from resources.training.code_version import code_version
from resources.training.environment import training_code_version
from resources.training.neural.batches import Batches, Place
from resources.training.neural.custom import source_digest, source_of
from resources.training.neural.parameters import network_parameters
from resources.training.protocol import TrainingSet, trainer_named
from resources.training.train import train
from tests.resources.test_bundle import opened, recipe, window

FIELD = "train.parameters"
NETWORK = "def build(inputs, outputs, width=4):\n    raise RuntimeError('never called')\n"


@pytest.fixture
def pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of PENSTOCK_PIPELINES."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    monkeypatch.setenv("PENSTOCK_PIPELINES", str(folder))
    return folder


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"activation": "rleu"}, "train.parameters.activation: 'rleu' is not one of relu, gelu, silu, elu, tanh"),
        ({"activaton": "relu"}, "train.parameters: unknown parameter of torch 'activaton'; did you mean 'activation'"),
        ({"seed": 3}, "train.parameters.seed: cannot be set, the stage's own `seed` sets it"),
        ({"num_workers": 4}, "the loader of Penstock reads the rows"),
        ({"hidden": [64, 0]}, "train.parameters.hidden.1: "),
        ({"hidden": "64"}, "train.parameters.hidden: "),
        ({"dropout": 1}, "train.parameters.dropout: input should be less than 1, got 1"),
        ({"epochs": True}, "train.parameters.epochs: "),
        ({"batch_size": 0}, "greater than or equal to 1, got 0"),
        ({"learning_rate": float("nan")}, "train.parameters.learning_rate: "),
        ({"optimizer": "adm"}, "'adm' is not one of adam, adamw, sgd; did you mean 'adam'"),
        ({"momentum": 0.9}, "momentum 0.9 is of optimizer 'sgd' only, not of 'adam'"),
        ({"loss": "log_loss"}, "loss 'log_loss' is none of task 'regression': use mse, mae, huber"),
        ({"task": "binary", "loss": "mse"}, "loss 'mse' is none of task 'binary': use log_loss"),
        ({"task": "ranking"}, "train.parameters.task: 'ranking' is not one of regression, binary"),
        ({"device": "gpu"}, "train.parameters.device: 'gpu' is not one of cpu, cuda"),
        ({"early_stopping": {"share": 1.0}}, "train.parameters.early_stopping: EarlyStopping.share: "),
        (
            {"early_stopping": {"patienc": 3}},
            "EarlyStopping.patienc: no such field; allowed are min_delta, patience, share; did you mean 'patience'",
        ),
        ({"early_stopping": True}, "train.parameters.early_stopping: "),
        ({"embeddings": {"sky": 0}}, "train.parameters.embeddings"),
        ({"arguments": {"width": 3}}, "arguments are those of `module`, which is not given"),
        ({"module": "a.b:c", "hidden": [3]}, "hidden has no part in a module of your own"),
        ({"module": "networks.wide"}, "'networks.wide' is not 'module:function', such as"),
        ({"module": "no_such_module:build"}, "train.parameters.module: there is no module 'no_such_module'"),
        ({"module": "..:x"}, "is not 'module:function'"),
    ],
)
def test_parameters_declared_wrongly_are_refused_by_name(parameters: dict[str, object], words: str):
    with pytest.raises(DeclarationError) as refusal:
        trainer_named("torch").check(FIELD, parameters)
    assert words in str(refusal.value)
    assert "NetworkParameters" not in str(refusal.value)


def test_several_mistakes_are_told_at_once():
    with pytest.raises(DeclarationError) as refusal:
        network_parameters(FIELD, {"epochs": 0, "dropout": -1.0})
    assert [line.partition(":")[0] for line in str(refusal.value).splitlines()] == [
        "train.parameters.dropout", "train.parameters.epochs",
    ]  # fmt: skip


def test_the_task_decides_the_loss_unless_it_is_declared():
    assert network_parameters(FIELD, {}).loss_name == "mse"
    assert network_parameters(FIELD, {"task": "binary"}).loss_name == "log_loss"
    assert network_parameters(FIELD, {"loss": "huber"}).loss_name == "huber"
    assert trainer_named("torch").task({"task": "binary"}) == "binary"


def test_without_the_extra_training_and_loading_name_it():
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from resources.errors import TrainingError\n"
        "from resources.training.protocol import TrainingSet, trainer_named\n"
        "trainer = trainer_named('torch')\n"
        "trainer.check('p', {'hidden': [8]})\n"
        "data = TrainingSet(matrix=np.ones((4, 1)), label=np.arange(4.0), feature_names=('x',))\n"
        "works = (lambda: trainer.fit(data, {}, 0), lambda: trainer.load(b''), lambda: trainer.importance(b'', ()))\n"
        "for work in works:\n"
        "    try: work()\n"
        "    except TrainingError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("needs PyTorch" in line and "install the extra `torch` (penstock[torch])" in line for line in lines)


@pytest.mark.skipif(find_spec("torch") is not None, reason="not here: PyTorch is installed")
def test_the_stage_of_the_model_names_the_extra_where_it_is_really_missing(tmp_path: Path):
    workspace = opened(tmp_path)
    with pytest.raises(TrainingError, match=r"install the extra `torch` \(penstock\[torch\]\)"):
        train(workspace, recipe(trainer="torch", parameters={}), window(workspace))


def test_checking_a_declaration_imports_no_pytorch_and_none_of_the_users_code(pipelines: Path):
    (pipelines / "_nets.py").write_text("raise SystemExit('imported')\n")
    script = (
        "import sys; from resources.training.protocol import trainer_named\n"
        "trainer_named('torch').check('p', {'module': '_nets:build'})\n"
        "print(sorted({'torch', 'safetensors', 'numpy', 'pyarrow', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_source_of_a_module_of_the_users_is_part_of_the_code_version(pipelines: Path):
    file = pipelines / "_nets.py"
    file.write_text(NETWORK)
    declared = recipe(trainer="torch", parameters={"module": "_nets:build"})
    before = training_code_version(declared)
    assert training_code_version(declared) == before
    file.write_text(NETWORK + "# another line\n")
    assert training_code_version(declared) != before


def test_the_code_version_of_the_ready_network_is_that_of_the_code_of_the_trainer_alone():
    declared = recipe(trainer="torch", parameters={"hidden": [4]})
    assert training_code_version(declared) == training_code_version(declared)
    assert training_code_version(declared) != code_version("resources.training.neural", declaration=declared.to_json())


def test_a_package_counts_with_every_module_in_it(pipelines: Path):
    package = pipelines / "nets"
    package.mkdir()
    (package / "__init__.py").write_text(NETWORK)
    assert source_of(FIELD, "nets:build") == package
    before = source_digest(FIELD, "nets:build")
    (package / "layers.py").write_text("x = 1\n")
    assert source_digest(FIELD, "nets:build") != before


def test_a_module_on_pythons_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "installed_networks.py").write_text(NETWORK)
    with pytest.raises(DeclarationError):
        source_of(FIELD, "installed_networks:build")
    monkeypatch.syspath_prepend(tmp_path)
    assert source_of(FIELD, "installed_networks:build") == tmp_path / "installed_networks.py"


def numbered(rows: int) -> TrainingSet:
    numbers = np.arange(rows, dtype=np.float64)
    return TrainingSet(matrix=numbers.reshape(-1, 1), label=-numbers, feature_names=("number",))


@given(rows=st.integers(1, 5000), size=st.integers(1, 3000), stop=st.integers(0, 5000), epoch=st.integers(0, 3))
def test_batches_go_on_from_any_place_with_the_same_batches(rows: int, size: int, stop: int, epoch: int):
    data = numbered(rows)
    whole = [label.tolist() for _, label in Batches(data, epoch, size, Place())]
    assert [len(batch) for batch in whole] == [size] * (rows // size) + ([rows % size] if rows % size else [])
    assert sorted(-number for batch in whole for number in batch) == list(range(rows))
    place, first = Place(), Batches(data, epoch, size, Place())
    for count, (_, label) in enumerate(first):
        assert label.tolist() == whole[count]
        place = first.place
        if count == stop:
            break
    rest = [label.tolist() for _, label in Batches(data, epoch, size, place)]
    assert rest == whole[stop + 1 :]


def test_features_and_labels_of_a_batch_stay_together():
    for features, label in Batches(numbered(2500), 1, 700, Place()):
        assert features[:, 0].tolist() == (-label).tolist()


def test_the_last_rows_are_held_out_of_samples_in_memory():
    rest, held_out = numbered(10).parted(0.25)
    assert rest.label.tolist() == [0, -1, -2, -3, -4, -5, -6]
    assert held_out.matrix[:, 0].tolist() == [7, 8, 9]


def test_one_row_cannot_be_parted():
    with pytest.raises(TrainingError, match="no rows to train on"):
        numbered(1).parted(0.5)
