"""The contract every backend keeps: a compiled network as one thread-safe call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a network.

    Attributes:
        name: its name in the ONNX graph.
        shape: sizes per dimension; None where any size is accepted (the batch).
        dtype: element type on our side of the call, whatever precision the backend computes in.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    def accepts(self, array: Array) -> bool:
        return (
            array.dtype == self.dtype
            and array.ndim == len(self.shape)
            and all(want is None or want == have for want, have in zip(self.shape, array.shape, strict=True))
        )


class EngineError(RuntimeError):
    """A network could not be loaded, built or run; the message names the file and what mends it."""


class BackendUnavailable(EngineError):
    """The backend cannot run here (library, driver or device missing); the message says which."""


class InputMismatch(EngineError, ValueError):
    """An input has the wrong name, shape or type; the message gives expected and given."""


class Engine(ABC):
    """A compiled network.

    `run` takes one array per input, checked against `inputs`, and returns one array per output. The arrays returned
    belong to the caller: no later call writes to them. `run` may be called from several threads at once.
    """

    backend: str
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network once.

        Args:
            inputs: one array per name in `self.inputs`, of the shape and dtype given there.

        Returns:
            One array per name in `self.outputs`.

        Raises:
            InputMismatch: names, shapes or dtypes differ from `self.inputs`.
            EngineError: the device failed.
        """
        self._check(inputs)
        return self._run(inputs)

    def warm_up(self) -> None:
        """Run once on zeros, so that the first real call pays for no lazy initialisation."""
        self.run({spec.name: np.zeros([size or 1 for size in spec.shape], spec.dtype) for spec in self.inputs})

    def close(self) -> None:
        """Free what the backend holds. The engine may not be used afterwards."""

    @abstractmethod
    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]: ...

    def _check(self, inputs: Mapping[str, Array]) -> None:
        names = {spec.name for spec in self.inputs}
        if inputs.keys() != names:
            raise InputMismatch(f"expected inputs {sorted(names)}, got {sorted(inputs)}")
        for spec in self.inputs:
            array = inputs[spec.name]
            if not spec.accepts(array):
                raise InputMismatch(
                    f"input {spec.name!r}: expected {spec.dtype} {spec.shape}, got {array.dtype} {array.shape}"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
