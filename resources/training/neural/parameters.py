"""Owns what may be declared of a neural network and of its training. It builds nothing and imports no PyTorch."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from resources.declaration import Declaration
from resources.errors import DeclarationError
from resources.names import name_error
from resources.training.protocol import Parameters, Task

Activation = Literal["relu", "gelu", "silu", "elu", "tanh"]
Loss = Literal["mse", "mae", "huber", "log_loss"]
LOSSES: dict[Task, tuple[Loss, ...]] = {"regression": ("mse", "mae", "huber"), "binary": ("log_loss",)}
"""Losses of each task, the one that is taken unless another is declared first."""

_Count = Annotated[int, Field(strict=True, ge=1)]
_Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
_Amount = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
_OF_MLP = ("hidden", "activation", "dropout", "embeddings")
_REFUSED = {
    "seed": "the stage's own `seed` sets it",
    "shuffle": "rows always come in the loader's order `window`",
    "num_workers": "the loader of Penstock reads the rows",
}


class EarlyStopping(Declaration):
    """When training ends before its last epoch; the weights of the best epoch are kept.

    Attributes:
        share: Part of the training rows that is held out: the latest by event time, else those of the last buckets of
            the split. No weight learns from them.
        patience: Epochs without improvement that are waited for.
        min_delta: Least improvement of the loss that counts.
    """

    share: _Share = 0.1
    patience: _Count = 3
    min_delta: _Amount = 0.0


class NetworkParameters(Declaration):
    """The parameters of the trainer `torch`.

    Attributes:
        task: What is learned.
        module: `module:function` of a network of one's own, called with the number of inputs, the number of outputs
            and `arguments`; None takes a multilayer perceptron.
        arguments: Further arguments of that function, by name.
        hidden: Width of each hidden layer; none makes a linear model.
        activation: What follows each of them.
        dropout: Share of their values that are left out while learning.
        embeddings: Whether categories (features of `ordinal` steps) become learned vectors, or the length of the vector
            by feature; otherwise their codes are numbers like others.
        loss: What is made small; by default that of the task.
        standardize_label: Whether a label of a regression is learned as distance from its mean in standard deviations.
            Predictions are in its own unit in any case.
        optimizer: Name of the optimizer.
        learning_rate: Its step.
        weight_decay: How much it draws weights to 0.
        momentum: Of `sgd` only.
        batch_size: Rows of a step.
        epochs: How often all rows are gone through, at most.
        early_stopping: When to end before that; None means never.
        threads: Processor threads; another number may give other last bits.
        device: Where it is trained. Models are scored on the processor, whatever it says.
    """

    task: Task = "regression"
    module: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)  # Any: JSON values, given by the user
    hidden: tuple[_Count, ...] = (64, 32)
    activation: Activation = "relu"
    dropout: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    embeddings: bool | dict[str, _Count] = False
    loss: Loss | None = None
    standardize_label: bool = True
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: _Positive = 0.001
    weight_decay: _Amount = 0.0
    momentum: _Amount = 0.0
    batch_size: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1024
    epochs: _Count = 10
    early_stopping: EarlyStopping | None = None
    threads: Annotated[int, Field(strict=True, ge=1, le=256)] = 1
    device: Literal["cpu", "cuda"] = "cpu"

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.loss is not None and self.loss not in LOSSES[self.task]:
            raise ValueError(f"loss {self.loss!r} is none of task {self.task!r}: use {', '.join(LOSSES[self.task])}")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum {self.momentum:g} is of optimizer 'sgd' only, not of {self.optimizer!r}")
        if self.module is None and self.arguments:
            raise ValueError("arguments are those of `module`, which is not given: remove them, or name a module")
        unused = [name for name in _OF_MLP if self.module is not None and name in self.model_fields_set]
        if unused:
            raise ValueError(f"{unused[0]} has no part in a module of your own: give it as one of its `arguments`")
        return self

    @property
    def loss_name(self) -> Loss:
        """The declared loss, or that of the task."""
        return self.loss or LOSSES[self.task][0]


def network_parameters(field: str, given: Parameters) -> NetworkParameters:
    """Return the declared parameters with their defaults.

    Raises:
        DeclarationError: If one is unknown or wrong, naming it within `field`.
    """
    for name in given:
        if name in _REFUSED:
            raise DeclarationError(f"{field}.{name}: cannot be set, {_REFUSED[name]}: remove it")
        if name not in NetworkParameters.model_fields:
            raise name_error(field, "parameter of torch", str(name), NetworkParameters.model_fields)
    try:
        return NetworkParameters.parse(dict(given))
    except DeclarationError as error:
        lines = str(error).splitlines()
        raise DeclarationError(
            "\n".join(line.replace(NetworkParameters.__name__, field, 1) for line in lines)
        ) from None
