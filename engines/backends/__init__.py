"""Every backend: those of this package and those of installed packages.

A package adds a backend with an entry point of the group `latentcam.backends` whose value, called without arguments,
returns an `engines.base.Backend`:

    [project.entry-points."latentcam.backends"]
    mygpu = "mypackage:MyGpu"

A plug-in never breaks the server. One that does not load, is incomplete or raises an exception of its own is a backend
that is unavailable and says why.
"""

from __future__ import annotations

import functools
import logging
from importlib.metadata import EntryPoint, entry_points
from typing import get_args

from engines.backends.onnxruntime import OnnxRuntime
from engines.backends.openvino import OpenVino
from engines.backends.tensorrt import TensorRt
from engines.backends.torch2trt import Torch2Trt
from engines.backends.torch_cuda import TorchCuda
from engines.base import Backend, BackendUnavailable, Engine, EngineError, Precision
from engines.cache import Cache
from engines.onnx_file import Network

log = logging.getLogger(__name__)

GROUP = "latentcam.backends"

BUILT_IN: tuple[Backend, ...] = (
    TensorRt("tensorrt"),
    Torch2Trt(),
    TensorRt("tensorrt_rtx"),
    TorchCuda(),
    OpenVino(),
    OnnxRuntime(),
)
"""In order of preference."""

REFERENCE = OnnxRuntime()
"""In FP32, what every other engine is compared with."""


@functools.cache
def known_backends() -> tuple[Backend, ...]:
    """Every backend in order of preference: plug-ins first, since somebody installed them for this machine."""
    return (*(PlugIn(point) for point in entry_points(group=GROUP)), *BUILT_IN)


class PlugIn:
    """A backend of another package. Exceptions that are not ours become `EngineError`.

    Args:
        point: its entry point; nothing is imported before it is asked for something.
    """

    def __init__(self, point: EntryPoint) -> None:
        self.name = point.name
        self._point = point

    @property
    def builds_long(self) -> bool:
        return bool(self._backend.builds_long)

    def probe(self) -> str:
        try:
            return str(self._backend.probe())
        except BackendUnavailable:
            raise
        except Exception as error:
            raise BackendUnavailable(f"the plug-in {self.name} failed: {error!r}") from error

    def fingerprint(self) -> str:
        try:
            package = self._point.dist
            version = f"{package.name} {package.version}" if package else self._point.value
            return f"{version}: {self._backend.fingerprint()}"
        except Exception as error:
            raise self._failed(error) from error

    def precisions(self, network: Network) -> tuple[Precision, ...]:
        try:
            precisions = tuple(self._backend.precisions(network))
        except Exception as error:
            raise self._failed(error) from error
        if not precisions or (unknown := sorted(set(precisions) - set(get_args(Precision)))):
            given = ", ".join(unknown) if precisions else "none"
            raise EngineError(f"the plug-in {self.name} gives precisions that are not known: {given}")
        return precisions

    def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
        try:
            return self._backend.load(network, precision, threads=threads, cache=cache)
        except Exception as error:
            raise self._failed(error) from error

    @functools.cached_property
    def _backend(self) -> Backend:
        """The backend that the package provides.

        Raises:
            BackendUnavailable: the package cannot be imported or gives no complete backend.
        """
        if any(self.name == backend.name for backend in BUILT_IN):
            raise BackendUnavailable(f"the plug-in {self._point.value} has the name of a built-in backend")
        try:
            backend = self._point.load()()
        except Exception as error:  # a package may raise anything when it is imported
            raise BackendUnavailable(
                f"the plug-in {self.name} ({self._point.value}) does not load: {error!r}"
            ) from error
        wanted = ("name", "builds_long", "probe", "fingerprint", "precisions", "load")
        if missing := [name for name in wanted if not hasattr(backend, name)]:
            raise BackendUnavailable(f"the plug-in {self.name} is no backend: it has no {', '.join(missing)}")
        if backend.name != self.name:
            raise BackendUnavailable(f"the plug-in {self.name} gives a backend of another name, {backend.name!r}")
        checked: Backend = backend
        return checked

    def _failed(self, error: Exception) -> EngineError:
        if isinstance(error, EngineError):
            return error
        log.debug("the plug-in %s failed", self.name, exc_info=error)
        return EngineError(f"the plug-in {self.name} failed: {error!r}")
