"""Owns how PyTorch is reached: an extra that may be missing; one seed, one number of threads, kernels that repeat."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from resources.errors import TrainingError

CPU = "cpu"
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # without it cuBLAS may add in another order each time (CUDA toolkit, cuBLAS)


def library() -> Any:  # Any: the module torch, an extra that has no part in our types
    """Return PyTorch.

    Raises:
        TrainingError: If it is not installed, naming the extra.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise TrainingError(
            f"the trainer 'torch' needs PyTorch ({error}): install the extra `torch` (penstock[torch])"
        ) from None
    return torch


def check_device(torch: Any, device: str) -> None:
    """Refuse a declared device that this machine does not have.

    Raises:
        TrainingError: Naming it.
    """
    if device != CPU and not torch.cuda.is_available():
        raise TrainingError(
            f"parameters.device is {device!r}, PyTorch {torch.__version__} finds none here: train on a machine that "
            "has one, or declare device: cpu"
        )


@contextmanager
def same_bits(torch: Any, *, threads: int, device: str = CPU, seed: int = 0) -> Generator[None]:
    """Have the same arguments give the same bits meanwhile; what PyTorch was set to before comes back afterwards."""
    before = torch.get_num_threads()
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if device != CPU:
        os.environ.setdefault(_WORKSPACE, ":4096:8")
    with torch.random.fork_rng(devices=[] if device == CPU else None):
        try:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True)
            torch.manual_seed(seed)
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=warns)
            torch.set_num_threads(before)


def surroundings(torch: Any, device: str) -> str:
    """Return what beside code and data decides bits: release, kind of processor, device."""
    name = torch.backends.cpu.get_cpu_capability() if device == CPU else torch.cuda.get_device_name()
    return f"PyTorch {torch.__version__} on {name}"
