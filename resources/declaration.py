"""Owns the base of everything a person declares: frozen values whose mistakes are explained in plain words.

It turns pydantic's findings into one `DeclarationError` that names the field, the value, what is allowed and
the nearest valid name. It declares nothing itself.
"""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from resources.errors import DeclarationError
from resources.names import nearest


class Declaration(BaseModel):
    """A frozen declaration that refuses unknown fields and wrong values when it is built.

    Raises:
        DeclarationError: On any wrong field, all of them listed, one a line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False, validate_default=False)

    def __init__(self, **values: Any) -> None:  # Any: what the user typed; pydantic validates it
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise DeclarationError(explain(type(self), error)) from None

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the declaration that `value`, a mapping as read from YAML or JSON, stands for."""
        if not isinstance(value, dict):
            raise DeclarationError(f"{cls.__name__} must be a mapping of fields, got {value!r}")
        return cls(**{str(name): item for name, item in value.items()})


def explain(model: type[BaseModel], error: ValidationError) -> str:
    """Return every finding of `error` as a line: place, value, expectation, remedy."""
    return "\n".join(_line(model, finding) for finding in error.errors())


def _line(model: type[BaseModel], finding: Any) -> str:  # Any: pydantic's ErrorDetails
    place = ".".join([model.__name__, *(str(part) for part in finding["loc"])])
    match finding["type"]:
        case "extra_forbidden":
            names = _fields_at(model, finding["loc"][:-1])
            wrong = str(finding["loc"][-1])
            return f"{place}: no such field; allowed are {', '.join(names)}{nearest(wrong, names)}"
        case "missing":
            return f"{place}: required, but not given"
        case "value_error":
            message = str(finding.get("ctx", {}).get("error", finding["msg"]))
            return f"{place}: {message}" if finding["loc"] else f"{model.__name__}: {message}"
        case "union_tag_invalid":
            context = finding.get("ctx", {})
            names = [part.strip("' ") for part in str(context.get("expected_tags", "")).split(",")]
            tag = str(context.get("tag", ""))
            return f"{place}: {tag!r} is not one of {', '.join(names)}{nearest(tag, names)}"
        case "union_tag_not_found":
            tag = str(finding.get("ctx", {}).get("discriminator", "")).strip("'")
            return f"{place}.{tag}: required, but not given"
        case "literal_error":
            allowed = str(finding.get("ctx", {}).get("expected", ""))
            names = [part.strip("' ") for part in allowed.replace(" or ", ", ").split(",")]
            return f"{place}: {finding['input']!r} is not one of {', '.join(names)}{nearest(finding['input'], names)}"
        case _:
            return f"{place}: {finding['msg'][0].lower()}{finding['msg'][1:]}, got {finding['input']!r}"


def _fields_at(model: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    current: Any = model
    for part in place:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            return sorted(model.model_fields)
        current = field.annotation
    return sorted(getattr(current, "model_fields", model.model_fields))
