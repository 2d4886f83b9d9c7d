"""The engines of a process: each network is loaded once, and all streams share it fairly."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from pydantic import BaseModel, ConfigDict, Field

from engines import select, trial
from engines.base import Engine
from engines.batching import BatchedEngine, Load
from engines.planner import LATE_S
from models.embedded import EMBEDDED, remedy


class EngineSettings(BaseModel):
    """How networks run.

    Attributes:
        backend: engine backend, "auto" for the fastest that works here.
        precision: "auto", or one the backend knows.
        threads: processor threads one engine call may use; None for one in the embedded networks, which take
            milliseconds, and for the backend's choice in larger ones.
        cache_dir: folder of compiled engines; None for the user's cache folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str = Field("auto", description="engine backend; auto is the fastest that works here")
    precision: str = Field("auto", description="auto, or one that the backend knows")
    threads: int | None = Field(None, ge=1, description="processor threads of one engine call")
    cache_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """How a network runs here.

    Attributes:
        network: name of its file.
        backend: that runs it.
        precision: it runs in.
        reasons: why not in another way, one sentence each.
    """

    network: str
    backend: str
    precision: str
    reasons: list[str]


class Networks:
    """Engines by file, precision and lateness. Every method may be called from any thread."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._loading = threading.RLock()  # held for seconds
        self._engines: dict[tuple[Path, str, float], BatchedEngine] = {}

    def load(self, path: Path, *, precision: str | None = None, late: float = LATE_S) -> Engine:
        """One network, warm; loaded on the first call with these arguments.

        Args:
            path: an ONNX file.
            precision: in place of the one in the settings.
            late: seconds after which a waiting call is dropped (`engines.batching.Dropped`); infinity for never.

        Raises:
            engines.base.EngineError: it is missing or damaged, or the named backend cannot run here.
        """
        wanted = precision or self._settings.precision
        with self._loading:
            engine = self._engines.get((path, wanted, late))
            if engine is None:
                ours = path.is_relative_to(EMBEDDED)
                options = _Options(
                    backend=self._settings.backend,
                    precision=wanted,
                    # In the embedded networks, waking a second thread costs more than it saves.
                    threads=self._settings.threads or (1 if ours else None),
                    cache_dir=self._settings.cache_dir,
                    remedy=remedy(path),
                )
                if not ours:  # a file that crashes a library must not take the server with it
                    trial.require(path, **options)
                engine = BatchedEngine(select.load(path, **options), late=late)
                engine.warm_up()  # here and not in somebody's stream
                self._engines[path, wanted, late] = engine
            return engine

    def loaded(self) -> list[EngineInfo]:
        """The networks loaded so far."""
        return [
            EngineInfo(path.name, engine.backend, engine.precision, list(engine.notes))
            for (path, _, _), engine in list(self._engines.items())
        ]

    def loads(self) -> dict[str, Load]:
        """What was asked of each network so far, by its file; its engines in several precisions are added up."""
        loads: dict[str, Load] = {}
        for (path, _, _), engine in list(self._engines.items()):
            loads[path.name] = loads.get(path.name, Load()) + engine.load
        return loads

    def close(self) -> None:
        """Free the engines. Nothing may run on them any more."""
        with self._loading:
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()


class _Options(TypedDict):
    """Arguments of `engines.select.load`."""

    backend: str
    precision: str
    threads: int | None
    cache_dir: Path | None
    remedy: str


def unusable_backends() -> dict[str, list[str]]:
    """Names of the backends that cannot run on this machine, by reason."""
    missing: dict[str, list[str]] = {}
    for row in select.available():
        if not row.usable:
            missing.setdefault(row.reason, []).append(row.backend)
    return missing
