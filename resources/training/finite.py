"""Owns the refusal of missing and infinite values by whoever cannot learn from them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resources.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def check_finite(
    who: str, matrix: "NDArray[np.floating[Any]]", names: Sequence[str], *, takes_nan: bool = False
) -> None:
    """Refuse what is no finite number.

    Args:
        who: Takes none, for the message.
        matrix: Features, shape ``(rows, features)``.
        names: Of the features.
        takes_nan: Whether NaN is taken as missing.

    Raises:
        TrainingError: Naming the first such feature and how many values of it are missing or infinite.
    """
    import numpy as np

    wrong = np.isinf(matrix) if takes_nan else ~np.isfinite(matrix)
    if wrong.any():
        place = int(wrong.any(axis=0).argmax())
        raise TrainingError(
            f"feature {names[place]} has {int(wrong[:, place].sum())} missing or infinite values, "
            f"{who} takes none: add an `impute` step, or guard the division with NULLIF(x, 0)"
        )
