"""pix2pix learns a translation of colours, goes on where it was stopped, and becomes an editor of the catalog."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from engines import select
from models import trained
from models.editor import Crop
from models.entry import weights_folder
from models.published.pix2pix.network import couple_generator
from models.training.pix2pix.losses import COUPLE, PIX2PIX, Patches, generator_loss
from models.training.pix2pix.train import _pairs, main, measure
from models.training.translation.loop import Pace, Plan, Run, Work, to_tensor
from models.training.translation.pictures import DataError, Faults, find_pairs, read_pair
from tests.models.training import translators_data as data

QUICK = ["--width", "2", "--batch", "2", "--rate", "0.01", "--device", "cpu", "--save-every", "20"]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    shutil.rmtree(weights_folder() / "trained", ignore_errors=True)


def test_it_learns_a_translation_of_colours_and_is_an_editor_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.write_pairs(tmp_path / "pairs")
    arguments = [str(tmp_path / "pairs"), "--name", "blue", "--work", str(tmp_path / "work"), *QUICK]
    assert main([*arguments, "--steps", "60"]) == 0
    said = capsys.readouterr().out
    error = float(said.rsplit("mean absolute difference ", 1)[1].split(" ")[0])
    pairs = find_pairs(tmp_path / "pairs", Faults())
    untouched = np.mean([float((to_tensor([a]) - to_tensor([b])).abs().mean()) for a, b in map(_read, pairs)])
    assert error < 0.5 * untouched
    assert sorted(path.name for path in (tmp_path / "work").iterdir())[-1] == "samples_0000060.jpg"

    (row,) = trained.entries()
    assert (row.name, row.title, row.state, row.licence) == ("blue", "Blue", "ready", "your own")
    editor = row.load(lambda path: select.load(path, backend="onnxruntime", threads=1, cache_dir=tmp_path))
    face = cv2.resize(data.scene(1), (256, 256))
    crop = Crop(face, np.array([(90, 110), (166, 110), (128, 150), (100, 180), (156, 180)], np.float32))
    controls = editor.Controls(which="AtoB")
    edit = editor.render(crop, np.zeros(0, np.float32), editor.steer(np.zeros(0, np.float32), controls), controls)
    assert edit.image is not None
    wanted = data.swapped(face)
    assert np.abs(edit.image.astype(int) - wanted).mean() < 0.7 * np.abs(face.astype(int) - wanted).mean()


def test_it_goes_on_and_refuses_other_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.write_halves(tmp_path / "pairs")
    arguments = [str(tmp_path / "pairs"), "--name", "two", "--work", str(tmp_path / "work"), *QUICK]
    assert main([*arguments, "--steps", "4", "--minutes", "0.00001"]) == 0  # stopped by its time
    state = torch.load(tmp_path / "work" / "checkpoint.pt", weights_only=True)
    assert state["done"] < 4
    assert main([*arguments, "--steps", "4"]) == 0
    state = torch.load(tmp_path / "work" / "checkpoint.pt", weights_only=True)
    assert state["done"] == 4
    assert state["of_generator"]["param_groups"][0]["lr"] == pytest.approx(0.005)  # half of 0.01 after the third step
    assert main([*arguments, "--steps", "5"]) == 1
    assert "a run of other steps" in capsys.readouterr().err
    assert main([*arguments, "--steps", "4"]) == 0
    assert "all 4 steps were taken" in capsys.readouterr().out
    data.write(tmp_path / "pairs" / "0.png", np.zeros((64, 128, 3), np.uint8))
    assert main([*arguments, "--steps", "4"]) == 1
    assert "a run of other pairs" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_stopped_ends_its_step_and_goes_on(
    tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    def step(which: int, _: Any) -> float:
        steps.append(which)
        if which == 1:
            signal.raise_signal(number)
        return 0.0

    steps: list[int] = []
    network = torch.nn.Linear(1, 1)
    work = Work(lambda _: (torch.zeros(1),), step, "nothing", lambda: [[np.zeros((8, 8, 3), np.uint8)]], (), 0.1)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        Run(tmp_path, {}, {"network": network}, torch.device("cpu"), "f32").train(Plan(5, save_every=100), work)
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) is before
    assert "stopped after step 2/5; the same command goes on" in capsys.readouterr().out
    Run(tmp_path, {}, {"network": network}, torch.device("cpu"), "f32").train(Plan(5, save_every=100), work)
    assert steps == [0, 1, 2, 3, 4]


def test_bad_data_is_named(tmp_path: Path) -> None:
    data.write_pairs(tmp_path, 3)
    (tmp_path / "A" / "alone.png").write_bytes((tmp_path / "A" / "0.png").read_bytes())
    (tmp_path / "B" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"unpaired: alone.png has no partner in B; unreadable: .*1.png") as refused:
        _pairs(tmp_path, skip=False)
    assert "--skip-bad" in str(refused.value)
    assert [pair.source.stem for pair in _pairs(tmp_path, skip=True)] == ["0", "2"]
    data.write(tmp_path / "halves" / "a.png", data.scene(0))
    with pytest.raises(DataError, match=r"not two squares side by side: a\.png is 64x64"):
        _pairs(tmp_path / "halves", skip=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures and no folders A/B or"):
        _pairs(tmp_path / "empty", skip=False)
    assert main([str(tmp_path), "--name", "Not a name"]) == 1


def test_partners_of_other_shapes_names_twice_and_dead_links_are_named(tmp_path: Path) -> None:
    data.write_pairs(tmp_path, 5)
    data.write(tmp_path / "B" / "0.png", data.scene(0, 128))  # another size of the same shape
    data.write(tmp_path / "B" / "1.png", np.zeros((40, 90, 3), np.uint8))
    (tmp_path / "A" / "2.jpg").write_bytes((tmp_path / "A" / "2.png").read_bytes())
    (tmp_path / "A" / "3.png").unlink()
    (tmp_path / "A" / "3.png").symlink_to("3.png")
    (tmp_path / "A" / "notes.txt").write_text("not a picture, and nobody says so")
    with pytest.raises(DataError) as refused:
        _pairs(tmp_path, skip=False)
    said = str(refused.value)
    assert "of another shape than their partner: 1.png is 64x64, its partner 90x40" in said
    assert "of one name: 2.jpg and 2.png in A" in said
    assert "unreadable: " in said
    assert "3.png" in said
    assert "notes" not in said
    assert [pair.target.stem for pair in _pairs(tmp_path, skip=True)] == ["0", "2", "4"]
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.png").symlink_to("a.png")
    with pytest.raises(DataError, match=r"unreadable: .*a\.png"):
        _pairs(tmp_path / "links", skip=False)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--batch", "0"], "0 is below 1"),
        (["--steps", "0"], "0 is below 1"),
        (["--width", "two"], "'two' is no whole number"),
        (["--rate", "nan"], "'nan' is no number"),
        (["--rate", "0"], "0 is not above 0"),
        (["--minutes", "-1"], "-1 is below 0"),
        (["--device", "gpu"], "a device is auto, cpu or cuda, not 'gpu'"),
        (["--device", "cuda:99"], "no GPU cuda:99 that PyTorch can use is here"),
        (["--work", "FILE"], "FILE: File exists"),
    ],
)
def test_options_that_cannot_be_are_named(
    option: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data.write_pairs(tmp_path, 3)
    (tmp_path / "FILE").write_text("")
    monkeypatch.chdir(tmp_path)
    try:
        status: object = main([".", "--name", "bad", "--work", "work", *QUICK, "--steps", "1", *option])
    except SystemExit as ended:  # argparse
        status = ended.code
    assert status in (1, 2)
    assert said in capsys.readouterr().err


def test_ctrl_c_before_the_first_step_is_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("models.training.pix2pix.train._pairs", interrupted)
    assert main([str(tmp_path), "--name", "early"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_a_slow_run_says_how_long_it_takes() -> None:
    seconds = iter([0.0, 20.0, 40.0, 50.0])
    pace = Pace(100, 4100, lambda: next(seconds))
    assert pace.line(101) == ""
    assert pace.line(104) == "10.00 s a step, about 11 hours to the last one"
    assert pace.line(105) == ""


def test_which_half_is_read(tmp_path: Path) -> None:
    data.write_halves(tmp_path, 1)
    (pair,) = find_pairs(tmp_path, Faults())
    source, target = read_pair(pair, 64, input_right=COUPLE.input_right)
    np.testing.assert_array_equal(source, data.scene(0))
    np.testing.assert_array_equal(target, data.swapped(data.scene(0)))
    np.testing.assert_array_equal(read_pair(pair, 64, input_right=PIX2PIX.input_right)[0], target)


def test_couple_generator_trains_the_published_network() -> None:
    network, published = COUPLE.generator(4), couple_generator(4)
    assert network.state_dict().keys() == published.state_dict().keys()
    assert not network.up[0].bias.requires_grad
    drawn, target = torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, 3, 4, 4)
    drawn[..., 0, 0] = -0.5
    loss, pixels = generator_loss(COUPLE, torch.full((1, 1, 1, 1), 2.0), drawn, target)
    assert float(pixels) == 0.5
    assert float(loss) == pytest.approx(-2 + 10 * 0.5 + 1e-5 * 2 * 3)  # two neighbours differ by 1 in three channels


def test_patches_see_seventy_pixels() -> None:
    critic = Patches(4).eval()
    picture = torch.zeros(1, 3, 256, 256, requires_grad=True)
    judged = critic(picture, torch.zeros(1, 3, 256, 256))
    assert judged.shape == (1, 1, 30, 30)
    judged[0, 0, 15, 15].backward()
    assert picture.grad is not None
    seen = picture.grad[0].abs().sum(0).nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [70, 70]


def _read(pair: object) -> tuple[np.ndarray, np.ndarray]:
    return read_pair(pair, 256)  # type: ignore[arg-type]


def test_measure_is_the_mean_difference(tmp_path: Path) -> None:
    data.write_pairs(tmp_path, 1)
    pairs = find_pairs(tmp_path, Faults())

    def black(source: torch.Tensor) -> torch.Tensor:
        return torch.full_like(source, -1)

    _, target = read_pair(pairs[0], 256)
    want = (target.astype(float) / 127.5).mean()
    assert measure(black, pairs, PIX2PIX, torch.device("cpu")) == pytest.approx(want, rel=1e-4)  # type: ignore[arg-type]


def test_the_name_of_another_editor_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--name", "embedded"]) == 1
    assert "there is an editor called embedded already" in capsys.readouterr().err


def test_a_run_goes_on_at_another_precision(tmp_path: Path) -> None:
    device = torch.device("cpu")
    begun = Run(tmp_path, {}, {"network": torch.nn.Linear(1, 1)}, device, "f32")
    begun.done = 3
    begun.save()
    scaled = Run(tmp_path, {}, {"network": torch.nn.Linear(1, 1)}, device, "f16")
    assert scaled.done == 3
    assert scaled.scaler.is_enabled()
    scaled.save()
    assert Run(tmp_path, {}, {"network": torch.nn.Linear(1, 1)}, device, "f32").done == 3
