"""A row of the catalog: an editor, its weights and whether it can run here. Light to import."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_dir

from engines.base import Engine
from models.editor import AnyEditor, Controls

State = Literal["ready", "needs weights", "needs a GPU", "cannot be loaded"]
LoadEngine = Callable[[Path], Engine]


@dataclass(frozen=True, slots=True)
class Weights:
    """One file an editor needs.

    Attributes:
        path: where it is looked for.
        licence: SPDX name or words.
        origin: where it comes from, in words or as an address.
        size: bytes of the download, about, 0 if unknown.
        sha256: hex digest of the download; empty if its authors publish none.
        urls: addresses to download it from, the first one that works is taken; none if the user has to bring it.
        md5: hex digest, where its authors publish this one.
        member: the download is a zip archive, and the file is the one in it whose name ends like this; "*" stands for
            anything within a name.
    """

    path: Path
    licence: str
    origin: str
    size: int = 0
    sha256: str = ""
    urls: tuple[str, ...] = ()
    md5: str = ""
    member: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """Named positions of an editor's controls."""

    title: str
    controls: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the catalog.

    Attributes:
        name: what settings and the command line call it.
        title: what the page calls it.
        description: one sentence for a user.
        controls: gives the model of its controls, without loading a network.
        load: makes the editor; the networks come through the given function.
        weights: the files it needs.
        presets: shown as buttons.
        networks: what runs: made of the weights, or among them; empty where the weights run as they are.
        convert: makes the networks of the weights; needs torch.
        needs_gpu: whether a CPU does not keep up with a camera.
        fault: why a plug-in cannot be loaded; empty otherwise.
        stamp: changes when files come or go that are not among `weights` but make the editor another one, such as
            boundaries that were fitted; it is then loaded anew.
        place: where it is drawn among several: 0 changes who somebody is, 1 redraws a face, 2 changes it in parts, 3
            dyes what the others leave. Those of one place are drawn in the order of their names.
        frame: what reading and drawing a face runs, by the names of `models.full_size`, each as often as it runs; empty
            where nobody has counted them.
    """

    name: str
    title: str
    description: str
    controls: Callable[[], type[Controls]]
    load: Callable[[LoadEngine], AnyEditor]
    weights: tuple[Weights, ...] = ()
    presets: tuple[Preset, ...] = ()
    networks: tuple[Path, ...] = ()
    convert: Callable[[], None] | None = None
    needs_gpu: bool = False
    fault: str = ""
    stamp: Callable[[], object] = lambda: None
    place: int = 1
    frame: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[Weights, ...]:
        """The files that have to be fetched before the editor can run."""
        if self.networks and all(path.is_file() for path in self.networks):
            return ()
        return tuple(weights for weights in self.weights if not weights.path.is_file())

    @property
    def unconverted(self) -> tuple[Path, ...]:
        """The networks that have not been made yet."""
        return tuple(path for path in self.networks if not path.is_file())

    @property
    def state(self) -> State:
        if self.fault:
            return "cannot be loaded"
        if self.missing or self.unconverted:
            return "needs weights"
        return "needs a GPU" if self.needs_gpu and not has_gpu() else "ready"

    @property
    def why(self) -> str:
        """What keeps the editor from running here and what to do about it; empty when it is ready."""
        if self.fault:
            return self.fault
        absent = [weights.path.name for weights in self.missing] or [path.name for path in self.unconverted]
        if absent:
            remedy = f"; get it with: python -m models.fetch {self.name}" if self.networks else ""
            return f"missing: {', '.join(dict.fromkeys(absent))}{remedy}"
        return "a CPU does not keep up with a camera" if self.state == "needs a GPU" else ""

    @property
    def licence(self) -> str:
        return ", ".join(dict.fromkeys(weights.licence for weights in self.weights))

    @property
    def still_to_fetch(self) -> tuple[int, int]:
        """Bytes of the downloads that are missing, about, and how many of them have no known size."""
        sizes = {weights.urls or weights.path: weights.size for weights in self.missing}
        return sum(sizes.values()), sum(size == 0 for size in sizes.values())

    @property
    def size(self) -> int:
        """Bytes of all its files, 0 if unknown; files of one archive count once, those the user brings when there."""
        sizes = {
            weights.urls or weights.path: weights.size or (weights.path.stat().st_size if weights.path.is_file() else 0)
            for weights in self.weights
            if weights.urls or weights.size or weights.path.is_file()
        }
        return sum(sizes.values()) if all(sizes.values()) else 0


def weights_folder() -> Path:
    """Where fetched weights lie: LATENTCAM_WEIGHTS, or the user's data folder by the platform's convention."""
    own = os.environ.get("LATENTCAM_WEIGHTS")
    return Path(own) if own else Path(user_data_dir("latentcam", appauthor=False)) / "weights"


def has_gpu() -> bool:
    """Whether an NVIDIA driver is installed, the only kind of GPU that the backends use."""
    return Path("/proc/driver/nvidia/version").is_file() or shutil.which("nvidia-smi") is not None
