"""Every published editor, from its authors' checkpoint to an edited video of a real face.

Checkpoints are those of `tests.models.tiny`: the systems' own classes at a reduced size with random weights, as no
published ones are at hand and full-size networks take seconds for a frame. They are converted as a user's would be,
and run by the catalog's own loaders on ONNX Runtime. So this is about what the whole chain does, where an edit lands
and how steadily, not about how it looks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnx
import pytest

from engines import accuracy
from engines.backends.onnxruntime import OnnxRuntime
from engines.backends.torch_cuda import TorchCudaEngine
from engines.base import Array, Engine
from engines.cache import Cache
from engines.onnx_file import open_network
from models import catalog, latents
from models.arrays import Image
from models.editor import AnyEditor
from models.entry import Entry, LoadEngine, weights_folder
from models.published.babygan.editor import follow
from models.published.babygan.formulas import child
from stream.files import main, process
from stream.frame import Frame
from stream.look import Look
from stream.photos import PASSES
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings
from tests.e2e import fake_camera
from tests.engines.standins import HostDevice
from tests.models import tiny
from tests.models.translators import face_crop

FRAMES, FPS = 6, 25
WIDTH, HEIGHT = 384, 288
FACE = np.s_[105:195, 155:230]
BACKGROUND = np.s_[:, :60]

PUBLISHED = [name for name, row in catalog.ENTRIES.items() if row.convert is not None]
CONTROLS: Mapping[str, Mapping[str, Any]] = {"stargan-both": {"blond_hair": 1.0, "happy": 1.0}}
"""What to set where a row has no presets."""


class Counted(Engine):
    """An engine that counts its calls under the name of its network."""

    def __init__(self, engine: Engine, name: str, calls: Counter[str]) -> None:
        self.backend, self.precision = engine.backend, engine.precision
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self._engine, self._network, self._calls = engine, name, calls

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._calls[self._network] += 1
        return self._engine.run(inputs)


@pytest.fixture(scope="module")
def runtime(small_systems: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    cache = tmp_path_factory.mktemp("cache")
    runtime = Runtime.load(RuntimeSettings(backend="onnxruntime", threads=1, cache_dir=cache))
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    """NASA's portrait of Eileen Collins, swaying: (288, 384, 3) uint8 BGR each."""
    return [fake_camera.frame(WIDTH, HEIGHT, fake_camera.astronaut(), index, 150) for index in range(FRAMES)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, pictures: list[Image]) -> Path:
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(params=PUBLISHED)
def row(request: pytest.FixtureRequest, runtime: Runtime) -> Entry:
    """A row of the catalog whose weights have come and been converted."""
    return tiny.ready(request.param)


def controls_of(row: Entry, detail: str = "delta") -> dict[str, Any]:
    """Positions that change a face; the detail for those rows that can do both."""
    controls = dict(row.presets[0].controls if row.presets else CONTROLS[row.name])
    return controls | ({"detail": detail} if "detail" in row.controls().model_fields else {})


def test_a_video_is_edited(row: Entry, runtime: Runtime, clip: Path, tmp_path: Path) -> None:
    look = runtime.look(Settings(), {"editor": row.name, "controls": controls_of(row, "full")})
    report = process(clip, tmp_path / "out.mp4", runtime, look)
    assert report.edited == report.frames == FRAMES
    change = [np.abs(new.astype(int) - old) for old, new in zip(read(clip), read(tmp_path / "out.mp4"), strict=True)]
    assert all(each[FACE].mean() > 4 for each in change)
    assert all(each[BACKGROUND].mean() < 3 for each in change)  # what coding it twice costs


def test_it_stands_still_on_a_still_face_and_neutral_is_the_camera(
    row: Entry, runtime: Runtime, pictures: list[Image]
) -> None:
    neutral = runtime.look(Settings(), {"editor": row.name})
    pipeline = runtime.pipeline()
    for index in range(2):
        assert pipeline.process(Frame(pictures[0], index / FPS), neutral).image is pictures[0]
    pipeline.close()
    look = runtime.look(neutral.settings, {"controls": controls_of(row)})
    outputs, again = (run(runtime, [pictures[0]] * 5, look) for _ in range(2))
    assert all(map(np.array_equal, outputs, again))
    change = np.abs(outputs[-1].astype(int) - pictures[0]).max(2)
    assert change[FACE].mean() > 4
    assert not change[BACKGROUND].any()
    flicker = np.abs(outputs[-1].astype(int) - outputs[-2]).max(2)
    assert flicker.mean() < 0.08 * change.mean()  # what the tracker moves until it has settled


CALLS: dict[str, dict[str, float]] = {
    "e4e": {"encoder": 0.05, "generator": 0},
    "restyle-e4e": {"encoder": 0.05, "generator": 0},
    "sam": {"identity": 0.05, "ageing": 0.05, "generator": 0},
    "hairmapper": {"encoder": 0.05, "mapper": 0, "generator": 0},
    "styleflow": {"encoder": 0.05, "flow": 0, "generator": 0},
    "alae": {"encoder": 0.05, "decoder": 0},
    "stargan-celeba": {"labels": 0.25, "generator": 0},
    "lats": {"ageing": 0},
    "pix2pix": {"AtoB": 0},
}
"""Seconds between two calls of each network; 0 is every frame."""


@pytest.mark.parametrize("name", CALLS)
def test_what_a_face_keeps_is_read_at_a_set_rate(
    name: str, runtime: Runtime, pictures: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    row, calls = tiny.ready(name), Counter[str]()

    def load(load_engine: LoadEngine) -> AnyEditor:
        own = weights_folder()  # readers that ship with the program are not counted
        return row.load(
            lambda path: Counted(load_engine(path), path.stem, calls) if own in path.parents else load_engine(path)
        )

    counted = replace(row, name=f"{name}-counted", load=load)
    monkeypatch.setitem(catalog.ENTRIES, counted.name, counted)
    look = runtime.look(Settings(), {"editor": counted.name, "controls": controls_of(row)})
    frames, fps = 28, 50
    run(runtime, [pictures[index % 2] for index in range(frames)], look, fps)
    wanted = {network: len(range(0, frames, math.ceil(every * fps) or 1)) for network, every in CALLS[name].items()}
    assert calls == wanted


def test_a_picture_takes_the_nine_windows_of_fran(
    runtime: Runtime, pictures: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, calls = tiny.ready("fran"), Counter[str]()
    counted = replace(
        row,
        name="fran-counted",
        load=lambda load_engine: row.load(lambda path: Counted(load_engine(path), path.stem, calls)),
    )
    monkeypatch.setitem(catalog.ENTRIES, counted.name, counted)
    cv2.imwrite(str(tmp_path / "in.png"), pictures[0])
    look = runtime.look(Settings(), {"editor": counted.name, "controls": controls_of(row)})
    assert process(tmp_path / "in.png", tmp_path / "out.png", runtime, look).edited == 1
    assert calls["residual"] == (PASSES - 1) + 9
    written = cv2.imread(str(tmp_path / "out.png"))
    assert written is not None
    change = np.abs(written.astype(int) - pictures[0])
    assert change[FACE].mean() > 4
    assert not change[BACKGROUND].any()


def test_the_age_codes_of_lats_are_constants_of_its_network(runtime: Runtime) -> None:
    row = tiny.ready("lats")
    for path in row.networks:
        graph = onnx.load(str(path)).graph
        shapes = [tuple(tensor.dims) for tensor in graph.initializer]
        assert sum(shape == (6, 32) for shape in shapes) == 1
        assert not any(300 in shape for shape in shapes)


def test_babygan_on_stylegan_follows_its_notebook(runtime: Runtime) -> None:
    tiny.ready("babygan-stylegan1")
    editor = runtime.editor("babygan-stylegan1")
    crop = face_crop(editor.crop.size)
    latent = editor.encode(crop, editor.Controls())
    steered = editor.steer(latent, editor.Controls(genes=0.3, age=10, smile=0.5))
    own = latent.reshape(tiny.ROWS, tiny.WIDTH)
    folder = weights_folder() / "stylegan1"
    ways = {path.stem: latents.load(path) for path in (folder / "babygan").glob("*.npz")}
    pose = [ways[name].unit() for name in ("angle_horizontal", "angle_vertical")]
    want = child(own, follow(np.load(folder / "parent.npy"), own, pose), 0.3)
    want[:8] += 4 * ways["age"].vector + ways["smile"].vector  # ten is four lengths younger than thirty
    np.testing.assert_allclose(steered.reshape(want.shape), want, atol=1e-4)


def test_the_command_edits_a_video(
    runtime: Runtime, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.ready("stargan-rafd")
    arguments = ["--editor", "stargan-rafd", "--set", "happy=1", "--backend", "onnxruntime", "--quiet"]
    assert main([str(clip), str(tmp_path / "out.mp4"), *arguments]) == 0
    assert f"{FRAMES} of {FRAMES} pictures edited" in capsys.readouterr().out
    assert len(read(tmp_path / "out.mp4")) == FRAMES


def test_the_engine_for_gpus_computes_the_same(row: Entry, tmp_path: Path) -> None:
    for path in row.networks:
        if path.suffix == ".onnx":
            network = open_network(path)
            reference = OnnxRuntime().load(network, "f32", threads=1, cache=Cache(tmp_path))
            engine = TorchCudaEngine(network, "f32", HostDevice())
            assert accuracy.compare(engine, reference, samples=1).holds
            half = TorchCudaEngine(network, "f16", HostDevice())
            outputs = half.run(accuracy.draw(half.inputs, accuracy.SEED))
            assert all(np.isfinite(values).all() for values in outputs.values())


def test_it_is_in_the_catalog_with_its_controls(row: Entry) -> None:
    assert row.state in ("ready", "needs a GPU")
    assert set(controls_of(row)) <= set(row.controls().model_json_schema()["properties"])


def run(runtime: Runtime, pictures: list[Image], look: Look, fps: int = FPS) -> list[Image]:
    pipeline = runtime.pipeline()
    outputs = [pipeline.process(Frame(picture, index / fps), look) for index, picture in enumerate(pictures)]
    pipeline.close()
    assert all(output.edited for output in outputs)
    return [output.image for output in outputs]


def read(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]
