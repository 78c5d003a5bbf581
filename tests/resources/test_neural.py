"""Networks learn, are the same bits for the same seed, are kept as safetensors, and refuse what they cannot be."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.canonical import canonical_json
from resources.errors import TrainingError
from resources.settings import PROJECT_ROOT
from resources.training.neural.tensor_file import read_tensors, write_tensors
from resources.training.protocol import TrainingSet, trainer_named
from tests.resources.neural import NAMES, SMALL, fitted, samples, truth, write_module

pytestmark = pytest.mark.torch

TRAINER = trainer_named("torch")
GOOD: dict[str, Any] = {"hidden": [64, 32], "batch_size": 64, "epochs": 25, "learning_rate": 0.003}


@pytest.fixture
def pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    monkeypatch.setenv("PENSTOCK_PIPELINES", str(folder))
    return folder


def error(file: bytes) -> float:
    """Return the mean absolute distance from the truth on rows that no model has seen."""
    unseen = samples(seed=8)
    return float(np.abs(TRAINER.load(file).predict(unseen.matrix) - truth(unseen.matrix)).mean())


def test_a_network_learns_a_function_that_a_linear_model_and_the_mean_do_not():
    mean = float(np.abs(truth(samples(seed=8).matrix) - samples().label.mean()).mean())
    linear = error(fitted({**GOOD, "hidden": []}))
    plain, embedded = error(fitted(GOOD)), error(fitted({**GOOD, "embeddings": True}))
    assert linear > 0.5 * mean
    assert plain < 0.3 * mean
    assert embedded < 0.2 * mean


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_every_optimizer_learns_by_every_loss(optimizer: str, loss: str):
    rate = 0.05 if optimizer == "sgd" else 0.003
    mean = float(np.abs(truth(samples(seed=8).matrix) - samples().label.mean()).mean())
    assert (
        error(fitted({**GOOD, "epochs": 8, "optimizer": optimizer, "loss": loss, "learning_rate": rate})) < 0.7 * mean
    )


def test_a_binary_network_predicts_probabilities_that_are_right_more_often_than_not():
    model = TRAINER.load(fitted({**GOOD, "task": "binary", "epochs": 10}))
    unseen = samples("binary", seed=8)
    told = model.predict(unseen.matrix)
    assert 0 <= told.min() < 0.1 < 0.9 < told.max() <= 1
    assert ((told > 0.5) == unseen.label).mean() > 0.9
    assert told.mean() == pytest.approx(unseen.label.mean(), abs=0.05)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"dropout": 0.3, "embeddings": True},
        {"early_stopping": {"share": 0.2}},
        {"threads": 2},
        {"activation": "gelu"},
    ],
)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(more: dict[str, Any]):
    file = fitted({**SMALL, **more})
    assert fitted({**SMALL, **more}) == file
    assert fitted({**SMALL, **more}, seed=2) != file


def test_the_bits_depend_on_no_environment_and_on_nothing_that_ran_before():
    script = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1]); from tests.resources.neural import fitted, SMALL\n"
        "print(hashlib.sha256(fitted({**SMALL, 'dropout': 0.2, 'embeddings': True})).hexdigest())\n"
    )
    found = set[str]()
    for threads in ("1", "5"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), threads)
        done = subprocess.run(
            [sys.executable, "-c", script, str(PROJECT_ROOT)],
            env={**os.environ, **limits}, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.add(done.stdout)
    assert len(found) == 1


def test_training_leaves_pytorch_as_it_was():
    import torch

    torch.manual_seed(4)
    torch.set_num_threads(2)
    fitted()
    drawn = torch.rand(3)
    torch.manual_seed(4)
    assert torch.equal(torch.rand(3), drawn)
    assert torch.get_num_threads() == 2
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_model_file_is_plain_safetensors_with_the_architecture_as_data():
    from safetensors.numpy import load

    file = fitted({**SMALL, "embeddings": {"kind": 3}})
    tensors = load(file)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    assert shapes == {
        "embeddings.0.weight": (5, 3), "layers.0.weight": (16, 5), "layers.0.bias": (16,),
        "layers.2.weight": (1, 16), "layers.2.bias": (1,),
    }  # fmt: skip
    length = struct.unpack("<Q", file[:8])[0]
    about = json.loads(json.loads(file[8 : 8 + length])["__metadata__"]["penstock"])
    assert about["architecture"]["network"] == {
        "kind": "mlp", "hidden": [16], "activation": "relu", "dropout": 0.0,
        "embeddings": [{"place": 2, "categories": 4, "size": 3}],
    }  # fmt: skip
    assert about["architecture"]["label_mean"] == pytest.approx(samples().label.mean())
    assert len(about["losses"]) == 3
    assert about["losses"][2] < about["losses"][0]


def test_a_loaded_network_predicts_what_its_weights_say_by_hand():
    from safetensors.numpy import load

    file, data = fitted({**SMALL, "embeddings": {"kind": 3}}), samples(rows=50)
    held = load(file)
    vectors = held["embeddings.0.weight"][data.matrix[:, 2].astype(int) + 1]
    inputs = np.column_stack([data.matrix[:, :2].astype(np.float32), vectors])
    hidden = np.maximum(inputs @ held["layers.0.weight"].T + held["layers.0.bias"], 0)
    outputs = (hidden @ held["layers.2.weight"].T + held["layers.2.bias"])[:, 0].astype(float)
    label = samples().label
    np.testing.assert_allclose(TRAINER.load(file).predict(data.matrix), outputs * label.std() + label.mean(), rtol=1e-5)


def test_a_model_scores_many_rows_as_it_scores_each_alone():
    model, data = TRAINER.load(fitted()), samples(rows=17_000)
    whole = model.predict(data.matrix)
    assert model.predict(data.matrix[:0]).shape == (0,)
    np.testing.assert_allclose(model.predict(data.matrix[16_383:16_386]), whole[16_383:16_386], rtol=1e-5)


def test_a_category_that_training_did_not_see_counts_as_unknown_and_adds_nothing():
    model = TRAINER.load(fitted({**SMALL, "embeddings": True}))
    rows = np.array([[0.5, 0.5, code] for code in (-1.0, 99.0, 4.0, -7.0)])
    told = model.predict(rows)
    assert len(set(told.tolist())) == 1
    assert told[0] not in model.predict(np.array([[0.5, 0.5, code] for code in range(4)], dtype=float))


def test_importance_tells_by_name_what_the_function_depends_on():
    data = samples()
    noise = np.random.default_rng(0).normal(size=len(data.label))
    more = TrainingSet(matrix=np.column_stack([data.matrix, noise]), label=data.label, feature_names=(*NAMES, "noise"))
    importance = TRAINER.importance(fitted(GOOD, data=more), more.feature_names)
    assert next(iter(importance)) == "size"
    assert sum(importance.values()) == pytest.approx(1)
    assert importance["noise"] < 0.02 < importance["kind"]


def test_early_stopping_ends_before_the_last_epoch_and_keeps_the_best_weights():
    draw = np.random.default_rng(2)
    matrix = draw.normal(size=(300, 5))
    noisy = TrainingSet(matrix=matrix, label=matrix[:, 0] + draw.normal(size=300), feature_names=tuple("abcde"))
    declared = {"hidden": [128], "epochs": 200, "batch_size": 16, "learning_rate": 0.01}
    stopped = fitted({**declared, "early_stopping": {"share": 0.3, "patience": 4}}, data=noisy)
    about = read_tensors(stopped)[1]
    told = about["held_out_losses"]
    assert len(about["losses"]) == len(told) < 200
    assert told.index(min(told)) == len(told) - 5
    rest, held_out = noisy.parted(0.3)
    scaled = (TRAINER.load(stopped).predict(held_out.matrix) - held_out.label) / rest.label.std()
    assert float((scaled**2).mean()) == pytest.approx(min(told), rel=1e-4)


def test_the_held_out_rows_teach_nothing():
    data = samples(rows=400)
    other = TrainingSet(
        matrix=np.vstack([data.matrix[:300], data.matrix[:100]]), label=np.append(data.label[:300], np.zeros(100)),
        feature_names=NAMES, categorical=("kind",),
    )  # fmt: skip
    declared = {**SMALL, "epochs": 1, "early_stopping": {"share": 0.25}}
    files = [fitted(declared, data=one) for one in (data, other)]
    weights = [{name: tensor.tolist() for name, tensor in read_tensors(file)[0].items()} for file in files]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("module", ["wide", "package"])
def test_a_network_of_the_users_own_learns_and_reads_back(pipelines: Path, module: str):
    named = write_module(pipelines, module) if module == "wide" else package(pipelines)
    declared = {"module": named, "arguments": {"width": 32}, "epochs": 10, "batch_size": 100, "learning_rate": 0.01}
    file = fitted(declared)
    assert fitted(declared) == file
    assert error(file) < 40
    assert read_tensors(file)[0]["norm.num_batches_tracked"].item() == 300
    assert TRAINER.importance(file, NAMES)["size"] > 0.5


def package(pipelines: Path) -> str:
    write_module(pipelines / "nets", "__init__")
    return "nets:build"


BROKEN = {
    "does not import": ("import no_such_library\n", "cannot be imported from .*: ModuleNotFoundError: No module named"),
    "a mistake of syntax": ("def build(:\n", "cannot be imported from .*: SyntaxError"),
    "no function": ("x = 1\n", "has no function 'build', which `module` names"),
    "fails": ("def build(inputs, outputs):\n    return 1 / 0\n", "3 inputs, 1 outputs, {}: ZeroDivisionError"),
    "takes less": ("def build(inputs):\n    pass\n", "TypeError: build.. takes 1 positional argument but 2 were given"),
    "no network": ("def build(inputs, outputs):\n    return [1]\n", "returned list, expected a torch.nn.Module"),
    "too wide": (
        "import torch\ndef build(inputs, outputs):\n    return torch.nn.Linear(inputs, 2)\n",
        r"gives shape \(64, 2\) for a batch of shape \(64, 3\), expected \(64, 1\)",
    ),
    "flat": (
        "import torch\ndef build(inputs, outputs):\n    return torch.nn.Sequential(torch.nn.Linear(inputs, 1), "
        "torch.nn.Flatten(0))\n",
        r"gives shape \(64,\) for a batch",
    ),
    "other inputs": (
        "import torch\ndef build(inputs, outputs):\n    return torch.nn.Linear(inputs + 1, 1)\n",
        r"fails on a batch of shape \(64, 3\): RuntimeError: mat1 and mat2 shapes",
    ),
    "nothing that learns": (
        "import torch\ndef build(inputs, outputs):\n    return torch.nn.Linear(3, 1).requires_grad_(False)\n",
        "no weight that learns",
    ),
    "lazy": (
        "import torch\ndef build(inputs, outputs):\n    return torch.nn.LazyLinear(1)\n",
        "do without lazy layers",
    ),
    "draws": (
        "import torch\nclass Noisy(torch.nn.Linear):\n    def forward(self, rows):\n"
        "        return super().forward(rows) + torch.rand(len(rows), 1)\n"
        "def build(inputs, outputs):\n    return Noisy(inputs, 1)\n",
        "must draw nothing, and look at each row alone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_module_of_the_users_that_is_no_network_is_told_in_plain_words(pipelines: Path, case: str):
    source, words = BROKEN[case]
    named = write_module(pipelines, f"broken_{case.replace(' ', '_')}", source)
    with pytest.raises(TrainingError, match=words):
        fitted({"module": named, "batch_size": 64, "epochs": 1})


def test_a_loss_that_is_no_number_names_epoch_and_batch():
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) in epoch \d+, batch \d+: lower learning_rate"):
        fitted({**SMALL, "optimizer": "sgd", "learning_rate": 1e6})


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_a_network_cannot_take_name_the_feature(value: float):
    data = samples(rows=200)
    data.matrix[7, 1] = value
    with pytest.raises(TrainingError, match=r"feature age has 1 missing or infinite values.*add an `impute` step"):
        fitted(data=data)
    with pytest.raises(TrainingError, match="feature number 1 has 1 missing"):
        TRAINER.load(fitted()).predict(data.matrix)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"embeddings": {"sky": 3}}, "parameters.embeddings: unknown feature of category codes 'sky'.*`ordinal` step"),
        ({"embeddings": {"size": 3}}, "unknown feature of category codes 'size'"),
    ],
)
def test_embeddings_of_what_is_no_category_are_refused(more: dict[str, Any], words: str):
    with pytest.raises(TrainingError, match=words):
        fitted({**SMALL, **more})


def test_embeddings_without_a_category_are_refused():
    plain = TrainingSet(matrix=np.ones((9, 1)), label=np.arange(9.0), feature_names=("x",))
    with pytest.raises(TrainingError, match="embeddings: no feature has category codes"):
        fitted({**SMALL, "embeddings": True}, data=plain)


def test_a_device_that_is_not_there_is_named():
    import torch

    if torch.cuda.is_available():
        pytest.skip("not here: this machine has a GPU")
    with pytest.raises(TrainingError, match=r"parameters.device is 'cuda', PyTorch .* finds none here"):
        fitted({**SMALL, "device": "cuda"})


@pytest.mark.parametrize(
    ("task", "label", "words"),
    [("regression", [1.0, np.nan, 2.0], "1 of 3 labels"), ("binary", [1.0, 1.0, 1.0], "all 3 labels are 1")],
)
def test_labels_that_cannot_be_learned_are_refused(task: str, label: list[float], words: str):
    data = TrainingSet(matrix=np.ones((3, 1)), label=np.array(label), feature_names=("one",))
    with pytest.raises(TrainingError, match=words):
        fitted({**SMALL, "task": task}, data=data)


def test_a_label_that_never_varies_is_learned():
    data = TrainingSet(matrix=samples(rows=100).matrix, label=np.full(100, 7.5), feature_names=NAMES)
    assert TRAINER.load(fitted({**SMALL, "epochs": 40}, data=data)).predict(data.matrix).mean() == pytest.approx(
        7.5, abs=0.3
    )


def test_a_model_refuses_another_number_of_features():
    with pytest.raises(TrainingError, match="takes 3 features, got 2"):
        TRAINER.load(fitted()).predict(np.ones((4, 2)))


def test_an_altered_model_file_is_refused_wherever_a_bit_turned():
    file = fitted()
    draw = np.random.default_rng(0)
    for place in (0, 7, 8, 30, len(file) - 1, *draw.integers(0, len(file), 60).tolist()):
        altered = bytearray(file)
        altered[place] ^= 1 << int(draw.integers(0, 8))
        with pytest.raises(TrainingError, match=r"not a model of a network: .*train the model again"):
            TRAINER.load(bytes(altered))
    for altered in (file[:-1], file[:100], b"", file + b"\0", b"PK\x03\x04" * 20):
        with pytest.raises(TrainingError, match="train the model again"):
            TRAINER.load(altered)


class Boom:
    def __reduce__(self):
        return (os.abort, ())


def test_a_pickle_is_never_opened():
    import torch

    buffer = io.BytesIO()
    torch.save({"weights": Boom()}, buffer)
    for data in (pickle.dumps(Boom()), buffer.getvalue()):
        with pytest.raises(TrainingError, match="not a model of a network"):
            TRAINER.load(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden": [17]}, "weights layers.0.bias, layers.0.weight, layers.2.weight do not fit the network"),
        ({"hidden": [10**12, 10**12]}, "not a model of a network: "),
        ({"hidden": [10**9, 10**9]}, "do not fit the network"),
        ({"activation": "tanh"}, "the network says .* where it said"),
        ({"activation": "exec"}, "not a model of a network: "),
        ({"kind": "pickle"}, "not a model of a network: "),
        ({"kind": "module", "module": "os:system", "source": ""}, "not a model of a network: "),
        ({"embeddings": [{"place": 3, "categories": 4, "size": 3}]}, "do not fit 3 features"),
    ],
)
def test_an_architecture_that_does_not_fit_its_weights_is_refused_even_with_a_right_digest(
    change: dict[str, Any], words: str
):
    tensors, about = read_tensors(fitted())
    about["architecture"]["network"] |= change
    with pytest.raises(TrainingError, match=words):
        TRAINER.load(write_tensors(tensors, about))


def test_a_network_whose_source_was_changed_is_refused_only_where_it_says_other_things(pipelines: Path):
    named = write_module(pipelines, "first")
    file = fitted({"module": named, "epochs": 1})
    told = TRAINER.load(file).predict(samples().matrix)
    source = (pipelines / "first.py").read_text()
    changes = {
        "# a remark\n": None,
        "x": "the network says .*: the source of first:build was changed since: check out its commit",
        "y": "weights .* do not fit the network: the source of first:build was changed since",
    }
    texts = {
        "# a remark\n": source + "# a remark\n",
        "x": source.replace(".relu()", ".sigmoid()"),
        "y": source.replace("width=8", "width=9"),
    }
    for change, words in changes.items():
        (pipelines / "first.py").write_text(texts[change])
        forget("first")
        if words is None:
            assert TRAINER.load(file).predict(samples().matrix).tolist() == told.tolist()
            continue
        with pytest.raises(TrainingError, match=words):
            TRAINER.load(file)


def forget(name: str) -> None:
    for module in [module for module in sys.modules if module.endswith(f"_{name}")]:
        del sys.modules[module]


def test_a_network_whose_source_is_gone_is_named(pipelines: Path):
    named = write_module(pipelines, "gone")
    file = fitted({"module": named, "epochs": 1})
    (pipelines / "gone.py").unlink()
    forget("gone")
    with pytest.raises(TrainingError, match="there is no module 'gone' in the project"):
        TRAINER.load(file)


def test_equal_tensors_are_equal_files_and_read_back():
    import torch

    tensors = {"b": torch.arange(3), "a": torch.rand(2, 2).t(), "c": torch.tensor(2.5, dtype=torch.bfloat16)}
    about = {"z": [1, None, "ü"], "a": 0.1}
    file = write_tensors(tensors, about)
    assert write_tensors(dict(reversed(tensors.items())), about) == file
    found, said = read_tensors(file)
    assert canonical_json(said) == canonical_json(about)
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )
