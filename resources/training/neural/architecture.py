"""Owns the architecture of a network as data, and the network that it stands for."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from resources.declaration import Declaration
from resources.errors import TrainingError
from resources.names import unknown_name
from resources.training.neural.custom import made, run, source_digest
from resources.training.neural.parameters import Activation, NetworkParameters
from resources.training.protocol import Task

FORMAT = 1
MOST_CATEGORIES = 2**24
"""A 32 bit float holds whole numbers exactly up to here, and codes of categories reach a network as such."""
_WIDEST = 50
_Width = Annotated[int, Field(ge=1)]


class Embedding(Declaration):
    """A feature of category codes that becomes a learned vector.

    Attributes:
        place: Its place among the features, from 0.
        categories: How many there are; any other code is one more, unknown.
        size: Length of the vector.
    """

    place: int = Field(ge=0)
    categories: int = Field(ge=1, le=MOST_CATEGORIES)
    size: _Width


class Perceptron(Declaration):
    """A multilayer perceptron: embeddings beside the other features, hidden layers, one output.

    Attributes:
        hidden: Width of each hidden layer.
        activation: What follows each of them.
        dropout: Share of their values that are left out while learning.
        embeddings: Features that become vectors.
    """

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[_Width, ...]
    activation: Activation
    dropout: float = Field(ge=0, lt=1)
    embeddings: tuple[Embedding, ...] = ()


class Custom(Declaration):
    """A network of the user's own.

    Attributes:
        module: `module:function` that makes it.
        arguments: What it is called with, by name.
        source: Digest of the source that it was trained with.
    """

    kind: Literal["module"] = "module"
    module: str
    arguments: dict[str, Any] = Field(default_factory=dict)  # Any: JSON values
    source: str


class Architecture(Declaration):
    """What makes a network of tensors: everything of a model but its weights.

    Attributes:
        format: Of this value.
        task: What was learned.
        inputs: Number of features.
        network: Its layers.
        label_mean: What is added to an output, after it was multiplied by `label_scale`.
        label_scale: See `label_mean`.
    """

    format: Literal[1] = FORMAT
    task: Task
    inputs: int = Field(ge=1)
    network: Annotated[Perceptron | Custom, Field(discriminator="kind")]
    label_mean: float = Field(default=0.0, allow_inf_nan=False)
    label_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _places_are_features(self) -> "Architecture":
        places = [one.place for one in self.network.embeddings] if isinstance(self.network, Perceptron) else []
        if len(set(places)) < len(places) or any(place >= self.inputs for place in places):
            raise ValueError(f"embeddings at {places} do not fit {self.inputs} features")
        return self

    def build(self, torch: Any) -> Any:  # Any: torch.nn.Module
        """Return the network, its weights drawn anew.

        Raises:
            TrainingError: If the user's function does not make one.
        """
        if isinstance(self.network, Custom):
            return made(torch, self.network.module, self.inputs, 1, self.network.arguments)
        return _perceptron(torch)(self.network, self.inputs)

    def outputs(self, network: Any, rows: Any) -> Any:  # Any: torch.nn.Module, torch.Tensor
        """Return what `network` makes of `rows`, shape ``(rows,)``.

        Raises:
            TrainingError: If the user's network fails, or gives another shape.
        """
        raw = run(self.network.module, network, rows) if isinstance(self.network, Custom) else network(rows)
        return raw.squeeze(1)


def network_of(
    field: str, parameters: NetworkParameters, names: Sequence[str], categories: Mapping[str, int]
) -> Perceptron | Custom:
    """Return the layers that are declared.

    Args:
        field: Of the parameters, for messages.
        parameters: As declared.
        names: Of the features.
        categories: Feature of category codes to how many there are.

    Raises:
        DeclarationError: If the module is not there.
        TrainingError: If an embedding is of no feature of category codes.
    """
    if parameters.module is not None:
        source = source_digest(f"{field}.module", parameters.module)
        return Custom(module=parameters.module, arguments=parameters.arguments, source=source)
    sizes = _sizes(field, parameters.embeddings, categories)
    return Perceptron(
        hidden=parameters.hidden,
        activation=parameters.activation,
        dropout=parameters.dropout,
        embeddings=tuple(
            Embedding(place=place, categories=categories[name], size=sizes[name])
            for place, name in enumerate(names)
            if name in sizes
        ),
    )


def _sizes(field: str, declared: bool | Mapping[str, int], categories: Mapping[str, int]) -> Mapping[str, int]:
    if declared is True and not categories:
        raise TrainingError(f"{field}.embeddings: no feature has category codes: add an `ordinal` step, or remove it")
    if isinstance(declared, bool):
        return {name: _usual_size(count) for name, count in categories.items()} if declared else {}
    for name in declared:
        if name not in categories:
            what = unknown_name("feature of category codes", name, categories)
            raise TrainingError(f"{field}.embeddings: {what}; add an `ordinal` step for it")
    return declared


def _usual_size(categories: int) -> int:
    """Return the length of a vector for so many categories: the rule of thumb of fastai (Howard and Gugger, 2020)."""
    return min(_WIDEST, max(1, round(1.6 * categories**0.56)))


@cache
def _perceptron(torch: Any) -> Any:  # Any: a class that needs PyTorch to be declared
    nn = torch.nn
    activations = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "elu": nn.ELU, "tanh": nn.Tanh}

    class MultilayerPerceptron(nn.Module):
        def __init__(self, of: Perceptron, inputs: int) -> None:
            super().__init__()
            self.of = of
            taken = {one.place for one in of.embeddings}
            self.plain = [place for place in range(inputs) if place not in taken]
            self.embeddings = nn.ModuleList(nn.Embedding(one.categories + 1, one.size) for one in of.embeddings)
            for embedding in self.embeddings:
                nn.init.zeros_(embedding.weight[:1].detach())  # unknown says nothing until rows of it were learned
            layers, width = [], len(self.plain) + sum(one.size for one in of.embeddings)
            for wide in of.hidden:
                layers += [nn.Linear(width, wide), activations[of.activation]()]
                layers += [nn.Dropout(of.dropout)] if of.dropout else []
                width = wide
            self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

        def forward(self, rows: Any) -> Any:
            if not len(self.embeddings):
                return self.layers(rows)
            parts = [rows[:, self.plain]]
            for one, embedding in zip(self.of.embeddings, self.embeddings, strict=True):
                codes = rows[:, one.place]
                known = (codes >= 0) & (codes < one.categories)
                parts.append(embedding(torch.where(known, codes + 1, torch.zeros_like(codes)).long()))
            return self.layers(torch.cat(parts, dim=1))

    return MultilayerPerceptron
