"""Boundaries of small generators, from the checkpoint to the slider: what was scored moves, what was held stays."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engines.graph.export import export
from models import latents
from models.boundaries import make
from models.boundaries.fitting import parse_held
from models.boundaries.sampler import SAMPLERS
from models.boundaries.sliders import boundaries_folder, slider_title
from models.entry import weights_folder
from models.latents import LatentError
from stream.runtime import Runtime, RuntimeSettings
from tests.models import tiny
from tests.models.translators import face_crop


class Brighter(nn.Module):
    """How much one colour outshines the mean of all."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, image: Tensor) -> Tensor:
        means = image.mean((2, 3))
        return means[:, self.channel : self.channel + 1] - means.mean(1, keepdim=True)


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifiers")
    coloured = torch.rand(1, 3, 64, 64) * torch.tensor([1.0, 0.2, 0.0]).view(1, 3, 1, 1)  # a grey one has a score of 0
    for channel, name in enumerate(("red", "green")):
        export(Brighter(channel), {"image": coloured}, ["score"], folder / f"{name}.onnx")
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tiny.shrink(monkeypatch)
    yield
    shutil.rmtree(weights_folder(), ignore_errors=True)


def arguments(name: str, classifiers: Path, samples: int = 100) -> list[str]:
    flags = ["make", "--generator", name, "--attributes", "", "--samples", str(samples), "--extremes", "0.1"]
    for colour in ("red", "green"):
        flags += ["--classifier", f"{colour}={classifiers / colour}.onnx"]
    return [
        *flags,
        "--conditional",
        "red:green",
        "--backend",
        "onnxruntime",
        "--threads",
        "1",
        "--quiet",
        "--batch",
        "20",
    ]


def test_from_a_checkpoint_to_a_live_slider(
    small: None, classifiers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.ready("stylegan1")
    settings = RuntimeSettings(backend="onnxruntime", threads=1, cache_dir=tmp_path)
    runtime = Runtime(settings)
    assert "red" not in runtime.controls_model("stylegan1").model_fields
    assert (
        runtime.editor("stylegan1").Controls.model_fields.keys()
        == runtime.controls_model("stylegan1").model_fields.keys()
    )

    assert latents.main(arguments("stylegan1", classifiers)) == 0
    said = capsys.readouterr().out
    assert "red: " in said
    assert "of the held-out on their side, 20 samples" in said

    fields = runtime.controls_model("stylegan1").model_fields  # of the server that was running all the time
    assert fields["red_without_green"].title == "Red without green"
    assert "hold_red" in fields
    assert "hold_red_without_green" not in fields
    editor = runtime.editor("stylegan1")
    code = editor.encode(face_crop(editor.crop.size), editor.Controls())

    def colours(**controls: float) -> np.ndarray:
        steered = editor.steer(code, editor.Controls(**controls)).reshape(1, tiny.ROWS, tiny.WIDTH)
        means = cast(Any, editor).generator.run({"w_plus": steered})["image"][0].mean((1, 2))
        return np.asarray(means - means.mean())

    less, own, more = (colours(red=amount)[0] for amount in (-0.5, 0, 0.5))
    assert less < own < more
    assert colours(red_without_green=0.5)[0] > own
    runtime.close()

    report = boundaries_folder("stylegan1").parent / "report"
    assert "| red_without_green | " in (report / "report.md").read_text()
    assert (report / "red.jpg").stat().st_size > 1000


def test_held_attributes_move_less(small: None, classifiers: Path) -> None:
    tiny.write("stylegan2")
    assert latents.main(arguments("stylegan2", classifiers)) == 0
    ways = {path.stem: latents.load(path) for path in boundaries_folder("stylegan2").glob("*.npz")}
    free, held, green = (ways[name].unit().vector for name in ("red", "red_without_green", "green"))
    assert abs(held @ green) < 1e-5 < abs(free @ green)
    samples = [np.load(path)["latents"] for path in sorted((weights_folder() / "stylegan2" / "samples").glob("*.npz"))]
    assert (np.concatenate(samples) @ held).std() == pytest.approx(ways["red_without_green"].norm, rel=1e-4)


def test_the_small_student_gets_sliders(small: None, classifiers: Path) -> None:
    row = tiny.write("mobilestylegan")
    assert latents.main(arguments("mobilestylegan", classifiers)) == 0
    fields = row.controls().model_fields
    assert "red" in fields
    assert "hold_red" in fields
    assert row.stamp() == tuple(
        (path.stem, path.stat().st_mtime_ns) for path in sorted(boundaries_folder("mobilestylegan").glob("*.npz"))
    )


def test_an_autoencoder_gets_sliders(small: None, classifiers: Path, tmp_path: Path) -> None:
    name = "alae"
    tiny.ready(name)
    assert latents.main(arguments(name, classifiers)) == 0
    runtime = Runtime(RuntimeSettings(backend="onnxruntime", threads=1, cache_dir=tmp_path))
    editor = runtime.editor(name)
    latent = editor.encode(face_crop(editor.crop.size), editor.Controls())
    steered = editor.steer(latent, editor.Controls(red=1.0))
    step = (steered - latent).reshape(-1, len(latents.load(boundaries_folder(name) / "red.npz").vector))
    want = 3 * latents.load(boundaries_folder(name) / "red.npz").vector
    np.testing.assert_allclose(step[0], want, atol=1e-4)
    runtime.close()


def test_every_editor_with_a_generator_of_its_own_can_be_sampled() -> None:
    assert set(SAMPLERS) == {
        "stylegan1",
        "stylegan2",
        "mobilestylegan",
        "alae",
        "e4e",
        "psp",
        "restyle-e4e",
        "restyle-psp",
    }


def test_it_goes_on_where_it_was_stopped(
    small: None, classifiers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write("stylegan1")
    drawn = []
    draw = make.draw  # type: ignore[attr-defined]

    def stopping(*given: object) -> np.ndarray:
        drawn.append(1)
        if len(drawn) == 8:
            raise KeyboardInterrupt
        return draw(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(make, "draw", stopping)
    assert latents.main(arguments("stylegan1", classifiers, 200)) == make.STOPPED
    assert "stopped: the same command goes on" in capsys.readouterr().err
    chunks = weights_folder() / "stylegan1" / "samples"
    first = {path.name: path.stat().st_mtime_ns for path in chunks.glob("*.npz")}
    assert len(first) == 1  # of two, 5 batches each
    assert latents.main(arguments("stylegan1", classifiers, 200)) == 0
    now = {path.name: path.stat().st_mtime_ns for path in chunks.glob("*.npz")}
    assert len(now) == 2
    assert now["chunk_00000.npz"] == first["chunk_00000.npz"]
    (chunks / "chunk_00001.npz").write_bytes(b"cut off")
    assert latents.main(arguments("stylegan1", classifiers, 200)) == 0
    assert np.load(chunks / "chunk_00001.npz")["latents"].shape == (100, tiny.WIDTH)

    assert latents.main([*arguments("stylegan1", classifiers), "--seed", "1"]) == 1
    assert "samples of other seed" in capsys.readouterr().err
    assert latents.main([*arguments("stylegan1", classifiers), "--classifier-range", "0..1"]) == 1
    assert "samples of other scores" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--attributes", "moustache"], "nothing scores moustache; there are age,"),
        (["--classifier", "red"], "a classifier is NAME=FILE.onnx"),
        (["--classifier", "red=nowhere.onnx"], "there is no classifier nowhere.onnx"),
        (["--samples", "200"], "200 samples have fewer than 10 at each end: take --samples 500"),
        (["--conditional", "bald"], "a conditional boundary is NAME:HELD"),
        ([], "is missing; get it with: python -m models.fetch stylegan1"),
    ],
)
def test_it_says_what_is_wrong(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert latents.main(["make", "--generator", "stylegan1", *flags]) == 1
    assert said in capsys.readouterr().err


def test_pictures_without_faces_end_it_after_the_first_of_them(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write("stylegan1")
    flags = ["--attributes", "smile", "--samples", "20000", "--backend", "onnxruntime", "--threads", "1", "--quiet"]
    assert latents.main(["make", "--generator", "stylegan1", *flags]) == 1
    assert "no face was found in 100 pictures of stylegan1" in capsys.readouterr().err


def test_every_batch_advances_the_progress(
    small: None, classifiers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write("stylegan1")
    told: list[int] = []

    def advance(bar: Any, done: int) -> None:
        told.append(done)
        bar.update(done - bar.n)

    monkeypatch.setattr(make, "_advance", advance)
    assert latents.main([each for each in arguments("stylegan1", classifiers) if each != "--quiet"]) == 0
    assert sorted(set(told)) == [20, 40, 60, 80, 100]


def test_names() -> None:
    assert parse_held("bald:age+sex") == ("bald", ("age", "sex"))
    assert slider_title("bald_without_age_sex") == "Bald without age, sex"
    with pytest.raises(LatentError):
        parse_held("bald:bald")
