"""The contract of every backend: a compiled network is one thread-safe call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engines.cache import Cache
    from engines.onnx_file import Network

Array = NDArray[Any]
Precision = Literal["f32", "bf16", "f16"]
"""What a backend computes in. Inputs and outputs keep the types of the ONNX file."""

FREE_SIDE = 320
"""Size of a free dimension other than the batch on trial inputs, typical for a detector's picture."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a network.

    Attributes:
        name: its name in the ONNX graph.
        shape: size of each dimension; None where any size is accepted. The batch comes first.
        dtype: element type of the caller's arrays, whatever the backend computes in.
        range: smallest and largest value of real inputs, where the file records them.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    range: tuple[float, float] | None = None

    def sized(self, batch: int = 1) -> tuple[int, ...]:
        """The shape without free sizes: a free first dimension is `batch`, other free ones are `FREE_SIDE`."""
        return tuple((FREE_SIDE if index else batch) if size is None else size for index, size in enumerate(self.shape))

    def accepts(self, array: Array) -> bool:
        return (
            array.dtype == self.dtype
            and array.ndim == len(self.shape)
            and all(want is None or want == have for want, have in zip(self.shape, array.shape, strict=True))
        )


class EngineError(RuntimeError):
    """A network could not be loaded, built or run; the message names the file and the remedy."""


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
        precision: what the backend computes in.
        device: name of the hardware it runs on.
        inputs: what `run` takes.
        outputs: what `run` returns.
        notes: why faster choices were rejected, one sentence each.
        built: True if it was compiled by this call with a builder whose result varies from run to run; False if it was
            read from the cache, or if compiling it again gives the same engine.
    """

    backend: str
    precision: Precision
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
    """A library that compiles networks.

    Importing its module imports nothing heavy; `probe` does. A package adds a backend with an entry point, see
    `engines.backends`.

    Attributes:
        name: as `engines.select.load` takes it.
        builds_long: whether compiling takes minutes. The first precision that is correct is then taken, untimed.
    """

    @property
    def name(self) -> str: ...

    @property
    def builds_long(self) -> bool: ...

    def probe(self) -> str:
        """A sentence for people about the library and the device it would use.

        Raises:
            BackendUnavailable: it cannot run here; the message says what is missing.
        """

    def fingerprint(self) -> str:
        """Everything besides the network that its results depend on: versions, device, driver.

        A remembered choice of precision holds as long as this text stays the same. Called after `probe`.
        """

    def precisions(self, network: Network) -> tuple[Precision, ...]:
        """What it can compute this network in on this device, the one expected to be fastest first."""

    def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
        """Compile the network, or read it from the cache.

        Args:
            network: the ONNX file.
            precision: one of `precisions(network)`.
            threads: processor threads one call may use; None for the library's own choice.
            cache: compiled networks on disk.

        Raises:
            EngineError: the network does not compile here.
        """
