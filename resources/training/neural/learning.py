"""Owns the training loop: batches in, weights out, the same bits whether or not it was interrupted."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from resources.errors import TrainingError
from resources.training.neural.architecture import Architecture
from resources.training.neural.batches import Batches
from resources.training.neural.checkpoint import Checkpoints
from resources.training.neural.library import CPU, surroundings
from resources.training.neural.model_file import SCORED_ROWS, as_tensor
from resources.training.neural.parameters import NetworkParameters
from resources.training.neural.progress import Progress
from resources.training.protocol import Samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LOG = logging.getLogger(__name__)
_WEIGHTS, _BEST, _OPTIMIZER, _RANDOM = "weights.", "best.", "optimizer.", "random."


@dataclass(slots=True, kw_only=True)
class Learner:
    """A network that learns.

    Attributes:
        torch: The library.
        architecture: What the network is.
        parameters: How it learns.
        names: Of the features.
        module: The network itself.
        progress: How far it is.
    """

    torch: Any
    architecture: Architecture
    parameters: NetworkParameters
    names: Sequence[str]
    module: Any = field(init=False)
    progress: Progress = field(default_factory=Progress)
    _optimizer: Any = field(init=False)
    _loss: Any = field(init=False)
    _best: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.module = self.architecture.build(self.torch).to(self.parameters.device)
        self._check_module()
        self._optimizer = _optimizer(self.torch, self.parameters, self.module)
        self._loss = _loss(self.torch, self.parameters)

    def learn(self, data: Samples, held_out: Samples | None, checkpoints: Checkpoints | None) -> None:
        """Go through `data` for the declared epochs, from the checkpoint on if there is one.

        Args:
            data: What is learned from.
            held_out: What decides when to end; None means the last epoch.
            checkpoints: Where to note how far it is.

        Raises:
            TrainingError: If a loss is no number, naming epoch and batch, or the user's network fails.
        """
        self._go_on(checkpoints)
        while self.progress.epoch < self.parameters.epochs and not self._is_done():
            self._epoch(data, checkpoints)
            told = () if held_out is None else (self._held_out_loss(held_out),)
            self.progress = self.progress.over(told)
            self._note_epoch()
        if self._best:
            self.module.load_state_dict(self._best)
        self.module.eval()

    def losses(self, features: "NDArray[np.float64]", label: "NDArray[np.float64]") -> float:
        """Return the sum of the losses of rows, as the network is now, without learning."""
        total = 0.0
        self.module.eval()
        with self.torch.inference_mode():
            for start in range(0, len(label), SCORED_ROWS):
                rows = slice(start, start + SCORED_ROWS)
                total += self._loss_of(features[rows], label[rows]).item() * len(label[rows])
        return total

    def _epoch(self, data: Samples, checkpoints: Checkpoints | None) -> None:
        self.module.train()
        batches = Batches(data, self.progress.epoch, self.parameters.batch_size, self.progress.place)
        noted = time.monotonic()
        for features, label in batches:
            loss = self._step(features, label)
            self.progress = self.progress.after(loss, len(label), batches.place)
            if checkpoints is not None and time.monotonic() - noted >= checkpoints.every_s:
                self._note(checkpoints)
                noted = time.monotonic()

    def _step(self, features: "NDArray[np.float64]", label: "NDArray[np.float64]") -> float:
        self._optimizer.zero_grad()
        loss = self._loss_of(features, label)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} in epoch {self.progress.epoch + 1}, batch {self.progress.batch + 1}: lower "
                f"learning_rate (it is {self.parameters.learning_rate:g}), or add a `standardize` step"
            )
        try:
            loss.backward()
        except RuntimeError as error:  # such as an operation of a user's network that has no deterministic form
            raise TrainingError(f"the network cannot learn: {error}".partition("\n")[0]) from error
        self._optimizer.step()
        return value

    def _loss_of(self, features: "NDArray[np.float64]", label: "NDArray[np.float64]") -> Any:
        of, device = self.architecture, self.parameters.device
        rows = as_tensor(self.torch, features, self.names).to(device)
        wanted = self.torch.tensor((label - of.label_mean) / of.label_scale, dtype=self.torch.float32).to(device)
        return self._loss(of.outputs(self.module, rows), wanted)

    def _held_out_loss(self, samples: Samples) -> float:
        total, start = 0.0, 0
        for features in samples.batches():
            total += self.losses(features, samples.label[start : start + len(features)])
            start += len(features)
        mean = total / start
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss on the held-out rows is {mean} after epoch {self.progress.epoch + 1}: lower learning_rate"
            )
        if not self.progress.held_out or mean < min(self.progress.held_out):
            self._best = {name: tensor.detach().cpu().clone() for name, tensor in self.module.state_dict().items()}
        return mean

    def _is_done(self) -> bool:
        """Return whether the held-out loss got no better for the declared number of epochs."""
        told, stopping = self.progress.held_out, self.parameters.early_stopping
        if stopping is None:
            return False
        waited, best = 0, math.inf
        for loss in told:
            waited = 0 if loss < best - stopping.min_delta else waited + 1
            best = min(best, loss)
        return waited >= stopping.patience

    def _note_epoch(self) -> None:
        held_out = f", held-out loss {self.progress.held_out[-1]:g}" if self.progress.held_out else ""
        _LOG.info(
            "epoch %d of %d: loss %g%s", self.progress.epoch, self.parameters.epochs, self.progress.losses[-1], held_out
        )

    def _note(self, checkpoints: Checkpoints) -> None:
        tensors = {f"{_WEIGHTS}{name}": tensor for name, tensor in self.module.state_dict().items()}
        tensors |= {f"{_BEST}{name}": tensor for name, tensor in self._best.items()}
        for place, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"{_OPTIMIZER}{place}.{name}": value for name, value in values.items() if value is not None}
        tensors[f"{_RANDOM}cpu"] = self.torch.get_rng_state()
        if self.parameters.device != CPU:
            tensors[f"{_RANDOM}cuda"] = self.torch.cuda.get_rng_state()
        checkpoints.write(tensors, asdict(self.progress), surroundings(self.torch, self.parameters.device))

    def _go_on(self, checkpoints: Checkpoints | None) -> None:
        found = None if checkpoints is None else checkpoints.read(surroundings(self.torch, self.parameters.device))
        if found is None:
            return
        tensors, progress = found
        self.progress = Progress.from_json(progress)
        self.module.load_state_dict(_under(_WEIGHTS, tensors))
        self._best = _under(_BEST, tensors)
        state: dict[int, dict[str, Any]] = {}
        for key, tensor in _under(_OPTIMIZER, tensors).items():
            place, _, name = key.partition(".")
            state.setdefault(int(place), {})[name] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.torch.set_rng_state(tensors[f"{_RANDOM}cpu"])
        if self.parameters.device != CPU:
            self.torch.cuda.set_rng_state(tensors[f"{_RANDOM}cuda"])
        _LOG.info("training goes on in epoch %d, batch %d", self.progress.epoch + 1, self.progress.batch + 1)

    def _check_module(self) -> None:
        """Refuse what a file of weights cannot hold, or an optimizer cannot move."""
        lazy = self.torch.nn.parameter.is_lazy
        held = self.module.state_dict()
        wrong = [name for name, value in held.items() if not isinstance(value, self.torch.Tensor) or lazy(value)]
        if wrong:
            raise TrainingError(
                f"{wrong[0]} of the network is no tensor of a known shape: a model file holds nothing else; do without "
                "lazy layers and extra state"
            )
        if not any(parameter.requires_grad for parameter in self.module.parameters()):
            raise TrainingError("the network has no weight that learns: give it one")


def _optimizer(torch: Any, declared: NetworkParameters, module: Any) -> Any:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    more = {"momentum": declared.momentum} if declared.optimizer == "sgd" else {}
    rates = {"lr": declared.learning_rate, "weight_decay": declared.weight_decay}
    return kinds[declared.optimizer](module.parameters(), **rates, **more)


def _loss(torch: Any, declared: NetworkParameters) -> Any:
    nn = torch.nn
    kinds = {"mse": nn.MSELoss, "mae": nn.L1Loss, "huber": nn.HuberLoss, "log_loss": nn.BCEWithLogitsLoss}
    return kinds[declared.loss_name]()


def _under(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
