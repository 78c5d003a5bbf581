"""Owns the trainer `torch`: neural networks, a ready one or one of the user's, kept as safetensors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.errors import TrainingError
from resources.training.importance import shares
from resources.training.neural.architecture import Architecture, network_of
from resources.training.neural.checkpoint import Checkpoints
from resources.training.neural.custom import source_digest
from resources.training.neural.learning import Learner
from resources.training.neural.library import check_device, library, same_bits
from resources.training.neural.model_file import Network, are_close, read_about, read_network, write_network
from resources.training.neural.parameters import NetworkParameters, network_parameters
from resources.training.neural.permuted import ROWS, first_rows, permutation_importance
from resources.training.protocol import Parameters, Predictor, Samples, Task, check_label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FIELD = "parameters"


@dataclass(frozen=True, slots=True)
class Torch:
    """The trainer `torch`; its parameters are those of `NetworkParameters`."""

    name: str = "torch"
    file: str = "model.safetensors"
    libraries: tuple[str, ...] = ("torch", "numpy", "polars", "safetensors")

    def check(self, field: str, parameters: Parameters) -> None:
        """Refuse parameters that are unknown or do not fit, and a module that is not there."""
        declared = network_parameters(field, parameters)
        if declared.module is not None:
            source_digest(f"{field}.module", declared.module)

    def task(self, parameters: Parameters) -> Task:
        """Return the declared task."""
        return network_parameters(_FIELD, parameters).task

    def user_code(self, parameters: Parameters) -> str:
        """Return the digest of the source of the user's module, or an empty text."""
        module = network_parameters(_FIELD, parameters).module
        return "" if module is None else source_digest(f"{_FIELD}.module", module)

    def fit(self, data: Samples, parameters: Parameters, seed: int, *, checkpoints: Checkpoints | None = None) -> bytes:
        """Return the weights and the architecture as safetensors; on another kind of processor bits may differ."""
        declared = network_parameters(_FIELD, parameters)
        torch = library()
        check_device(torch, declared.device)
        check_label(data, declared.task)
        rest, held_out = data, None
        if declared.early_stopping is not None:
            rest, held_out = data.parted(declared.early_stopping.share)
            check_label(rest, declared.task)
        with same_bits(torch, threads=declared.threads, device=declared.device, seed=seed):
            architecture = _architecture(rest, declared)
            learner = Learner(torch=torch, architecture=architecture, parameters=declared, names=rest.feature_names)
            learner.learn(rest, held_out, checkpoints)
            rises = permutation_importance(learner, rest, seed)
        return _file(learner, rest, rises)

    def load(self, data: bytes) -> Predictor:
        """Return the network of a model file."""
        return read_network(data)

    def importance(self, data: bytes, feature_names: tuple[str, ...]) -> dict[str, float]:
        """Return each feature's share of the rise of the loss where its values are permuted, largest first."""
        return shares(feature_names, read_about(data)["importance"])


def _architecture(data: Samples, declared: NetworkParameters) -> Architecture:
    scaled = declared.task == "regression" and declared.standardize_label
    return Architecture(
        task=declared.task,
        inputs=len(data.feature_names),
        network=network_of(_FIELD, declared, data.feature_names, data.categories),
        label_mean=float(data.label.mean()) if scaled else 0.0,
        label_scale=float(data.label.std()) or 1.0 if scaled else 1.0,
    )


def _file(learner: Learner, data: Samples, rises: list[float]) -> bytes:
    network = Network(architecture=learner.architecture, module=learner.module.cpu())
    probe = _probe(first_rows(data, ROWS)[0])
    said = network.predict(probe)
    if not _is_finite(said):
        raise TrainingError(f"the network says {said.tolist()} after its last epoch: lower learning_rate")
    if not are_close(network.architecture, again := network.predict(probe[::-1])[::-1], said):
        raise TrainingError(
            f"the network says {said.tolist()} and then {again.tolist()} of the same rows: it must draw nothing, and "
            "look at each row alone, once `eval()` was called"
        )
    progress = learner.progress
    more = {"importance": rises, "losses": progress.losses, "held_out_losses": progress.held_out}
    return write_network(network, probe=probe, more={name: list(values) for name, values in more.items()})


def _probe(features: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return two rows: the least and the greatest value of each feature, any of which the network has seen."""
    import numpy as np

    return np.stack([features.min(axis=0), features.max(axis=0)])


def _is_finite(values: "NDArray[np.float64]") -> bool:
    import numpy as np

    return bool(np.isfinite(values).all())
