"""The contract every backend keeps: a compiled network as one thread-safe call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engines.cache import Cache
    from engines.onnx_file import Network

Array = NDArray[Any]

# What is tried where a network leaves more than its batch open: a picture of the size that detectors are run at.
FREE_SIDE = 320


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a network.

    Attributes:
        name: its name in the ONNX graph.
        shape: sizes per dimension; None where any size is accepted, as for the batch, which comes first.
        dtype: element type on our side of the call, whatever precision the backend computes in.
        range: smallest and largest value of real inputs, where the file tells.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    range: tuple[float, float] | None = None

    def sized(self, batch: int = 1) -> tuple[int, ...]:
        """The shape with its free sizes set: the first dimension to `batch`, others to `FREE_SIDE`."""
        return tuple((FREE_SIDE if index else batch) if size is None else size for index, size in enumerate(self.shape))

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


class OutOfMemory(EngineError):
    """The device has no memory for this call; a smaller batch may fit."""


class DeviceLost(EngineError):
    """The device or its driver is gone. No later call of this engine can succeed."""


class InputMismatch(EngineError, ValueError):
    """An input has the wrong name, shape or type; the message gives expected and given."""


class Engine(ABC):
    """A compiled network.

    `run` takes one array per input, checked against `inputs`, and returns one array per output. The arrays returned
    belong to the caller: no later call writes to them. `run` may be called from several threads at once.

    Attributes:
        backend: name of the backend, as `engines.select.load` takes it.
        precision: what the backend computes in: "f32", "bf16", "f16" or "int8".
        device: the hardware it runs on, in words.
        inputs: what `run` takes.
        outputs: what `run` returns.
        notes: why faster choices were passed over, one sentence each.
        built: whether it was built now, by a builder that may decide otherwise each time, and not taken from the cache.
    """

    backend: str
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    device: str = ""
    notes: tuple[str, ...] = ()
    built: bool = False

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
        self.run({spec.name: np.zeros(spec.sized(), spec.dtype) for spec in self.inputs})

    def close(self) -> None:  # noqa: B027 (most backends have nothing to free)
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


class Backend(Protocol):
    """A library that compiles networks. Importing its module imports nothing heavy; `probe` does.

    Attributes:
        name: as `engines.select.load` takes it.
        builds_long: whether compiling takes minutes: the first precision that is right is then taken, untimed.
    """

    name: str
    builds_long: bool

    def probe(self) -> str:
        """The device it would run on, in words.

        Raises:
            BackendUnavailable: it cannot run here; the message says what is missing.
        """

    def precisions(self, network: Network) -> tuple[str, ...]:
        """What it can compute this network in on this device, best guess at the fastest first."""

    def load(self, network: Network, precision: str, *, threads: int | None, cache: Cache) -> Engine:
        """Compile the network, or take it from the cache.

        Args:
            network: the ONNX file.
            precision: one of `precisions(network)`.
            threads: processor threads one call may use; None for the library's own choice.
            cache: where compiled networks are kept.

        Raises:
            EngineError: the network does not compile here.
        """
