"""Owns the model file of a network: its weights, its architecture, and what it must say of two rows to be what it was.

Nothing of a file runs: layers come from the architecture, or from the user's own declared function.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resources.errors import DeclarationError, TrainingError
from resources.training.finite import check_finite
from resources.training.neural.architecture import Architecture, Custom
from resources.training.neural.custom import source_digest
from resources.training.neural.library import library, same_bits
from resources.training.neural.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORED_ROWS = 16_384
"""Rows that are scored at a time."""
_CLOSE = 1e-3
"""Share by which outputs may differ from those in training: other processors add in another order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network with its weights.

    Attributes:
        architecture: What it is.
        module: The `torch.nn.Module`, on the processor.
    """

    architecture: Architecture
    module: Any

    def predict(self, matrix: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return the prediction, or the probability of 1, shape ``(rows,)``."""
        import numpy as np

        of = self.architecture
        if not len(matrix):
            return np.empty(0)
        if matrix.shape[1] != of.inputs:
            raise TrainingError(f"the model takes {of.inputs} features, got {matrix.shape[1]}")
        torch = library()
        made: list[NDArray[np.float64]] = []
        with same_bits(torch, threads=1), torch.inference_mode():
            self.module.eval()
            for start in range(0, len(matrix), SCORED_ROWS):
                rows = as_tensor(torch, matrix[start : start + SCORED_ROWS], _numbered(of.inputs))
                outputs = of.outputs(self.module, rows).double()
                outputs = torch.sigmoid(outputs) if of.task == "binary" else outputs * of.label_scale + of.label_mean
                made.append(outputs.numpy())
        return np.concatenate(made)


def as_tensor(torch: Any, matrix: "NDArray[np.float64]", names: Sequence[str]) -> Any:  # Any: torch.Tensor
    """Return rows as 32 bit floats in memory of their own, aligned: where rows lie must decide no bit.

    Raises:
        TrainingError: If a value is missing, infinite or too large, naming its feature.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        rows = matrix.astype(np.float32)
    check_finite("a network", rows, names)
    return torch.tensor(rows)


def write_network(network: Network, *, probe: "NDArray[np.float64]", more: Mapping[str, Any]) -> bytes:
    """Return the model file.

    Args:
        network: The network.
        probe: Two rows or so, shape ``(rows, features)``, of which the file keeps what the network says.
        more: Further JSON values to keep.
    """
    about = {
        **more,
        "architecture": network.architecture.model_dump(mode="json"),
        "probe": {"rows": probe.tolist(), "outputs": network.predict(probe).tolist()},
    }
    return write_tensors(network.module.state_dict(), about)


def read_about(data: bytes) -> dict[str, Any]:
    """Return what a model file says beside its weights.

    Raises:
        TrainingError: If it is none.
    """
    return _opened(data)[1]


def read_network(data: bytes) -> Network:
    """Return the network of a model file.

    Raises:
        TrainingError: If it is none, was altered, or the user's function makes another network by now.
    """
    import numpy as np

    torch = library()
    tensors, about = _opened(data)
    try:
        architecture = Architecture.parse(about["architecture"])
        probe = np.array(about["probe"]["rows"], np.float64), np.array(about["probe"]["outputs"], np.float64)
    except (DeclarationError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"not a model of a network: {error}; train the model again") from None
    network = Network(architecture=architecture, module=_filled(torch, architecture, tensors))
    _check_same(network, *probe)
    return network


def _opened(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    library()
    try:
        return read_tensors(data)
    except ValueError as error:
        raise TrainingError(f"not a model of a network: {error}; train the model again") from None


def _filled(torch: Any, architecture: Architecture, tensors: Mapping[str, Any]) -> Any:
    """Return the network with its weights; nothing is drawn for what the file itself describes."""
    if isinstance(architecture.network, Custom):
        with same_bits(torch, threads=1):
            module = architecture.build(torch)
    else:
        module = _hollow(torch, architecture)
    wanted = {name: (tuple(one.shape), one.dtype) for name, one in module.state_dict().items()}
    found = {name: (tuple(one.shape), one.dtype) for name, one in tensors.items()}
    if wanted != found:
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise TrainingError(
            f"weights {', '.join(differing[:3])} do not fit the network: {_changed(architecture)}train the model again"
        )
    module.load_state_dict(dict(tensors), assign=True)
    return module.eval()


def _hollow(torch: Any, architecture: Architecture) -> Any:
    """Return the network without memory for its weights."""
    try:
        with torch.device("meta"):
            return architecture.build(torch)
    except RuntimeError as error:  # sizes that no memory has
        raise TrainingError(f"not a model of a network: {error}; train the model again") from None


def _check_same(network: Network, rows: "NDArray[np.float64]", expected: "NDArray[np.float64]") -> None:
    found = network.predict(rows)
    if not are_close(network.architecture, found, expected):
        raise TrainingError(
            f"the network says {found.tolist()} where it said {expected.tolist()} in training: "
            f"{_changed(network.architecture)}train the model again"
        )


def are_close(of: Architecture, found: "NDArray[np.float64]", expected: "NDArray[np.float64]") -> bool:
    """Return whether predictions are the same but for the order in which processors add."""
    import numpy as np

    scale = of.label_scale if of.task == "regression" else 1.0
    return found.shape == expected.shape and np.allclose(found, expected, rtol=_CLOSE, atol=_CLOSE * scale)


def _changed(architecture: Architecture) -> str:
    """Return what is to be said where the source of a user's network is another than in training."""
    own = architecture.network
    if not isinstance(own, Custom) or source_digest("module", own.module) == own.source:
        return ""
    return f"the source of {own.module} was changed since: check out its commit, or "


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"number {place}" for place in range(count))
