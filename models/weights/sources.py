"""Where published weights come from, under which licence, and how they become networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from models.entry import Weights, weights_folder

CC_BY_NC = "CC BY-NC 4.0 (not for commercial use)"
CC_BY_NC_SA = "CC BY-NC-SA 4.0 (not for commercial use)"
NVIDIA_SOURCE = "NVIDIA Source Code License (not for commercial use)"
NVIDIA = "MIT; the generator in it under the NVIDIA Source Code License (not for commercial use)"
NO_STATEMENT = "none stated for the weights (code: MIT)"


CONVERTING = ("torch", "onnx")
"""Packages that make networks of weights; a server runs without them."""


def dropbox(key: str, name: str) -> str:
    return f"https://www.dropbox.com/s/{key}/{name}?dl=1"


def drive(identifier: str) -> str:
    return f"https://drive.usercontent.google.com/download?id={identifier}&export=download&confirm=t"


def github(repository: str, path: str, branch: str = "master") -> str:
    return f"https://raw.githubusercontent.com/{repository}/{branch}/{path}"


@dataclass(frozen=True, slots=True)
class Conversion:
    """Makes networks of weights when called. What has been made of the same file is not made again.

    Attributes:
        jobs: (converter of `models.convert`, file, folder of the networks), in order.
        after: what is left to do then.
    """

    jobs: tuple[tuple[str, Path, Path], ...]
    after: Callable[[], None] | None = None

    def __call__(self) -> None:
        convert = import_module("models.convert").CONVERTERS  # needs torch
        for system, file, to in self.jobs:
            to.mkdir(parents=True, exist_ok=True)
            stamp, facts = to / f".{system}.{file.name}", f"{file.stat().st_size} {file.stat().st_mtime_ns}"
            if _still_there(stamp, facts):
                continue
            before = _files(to)
            convert[system](file, to)
            made = sorted(name for name, changed in _files(to).items() if changed != before.get(name))
            stamp.write_text("\n".join([facts, *made]))
        if self.after:
            self.after()


def _files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}


def _still_there(stamp: Path, facts: str) -> bool:
    """Whether a stamp is of this very file, and all that was made of it is there."""
    if not stamp.is_file():
        return False
    noted, *made = stamp.read_text().split("\n")
    return noted == facts and bool(made) and all((stamp.parent / name).is_file() for name in made)


def conversion(*jobs: tuple[str, Path, Path], after: Callable[[], None] | None = None) -> Conversion:
    """A `Conversion` of these jobs."""
    return Conversion(jobs, after)


def own_weights(path: Path, origin: str) -> Weights:
    return Weights(path, "your own", origin)


E4E = Weights(
    weights_folder() / "e4e" / "e4e_ffhq_encode.pt",
    NVIDIA,
    "github.com/omertov/encoder4editing",
    1_201_649_680,
    urls=(drive("1cUv_reLE6k3604or78EranS7XzuVMWeO"),),
)
"""Encoder into W+ of the FFHQ StyleGAN2 and that generator; several editors stand on it."""
E4E_FRAME = ("e4e", "stylegan2", "stylegan2")
"""`Entry.frame` of an editor that draws the face as it is and as it is wanted."""
E4E_NETWORKS = tuple(E4E.path.parent / name for name in ("encoder.onnx", "generator.onnx"))
