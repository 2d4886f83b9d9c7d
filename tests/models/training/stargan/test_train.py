"""StarGAN learns labels of colour, of one set and of two with the mask, and becomes an editor of the catalog."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from engines import select
from models import trained
from models.entry import weights_folder
from models.published.stargan.network import Discriminator
from models.training.stargan.losses import gradient_penalty, label_loss
from models.training.stargan.train import _parser, _sets, main
from models.training.translation.pictures import DataError
from tests.models.training import translators_data as data
from tests.models.translators import face_crop

SIDE = 32
QUICK = ["--size", str(SIDE), "--width", "8", "--blocks", "1", "--halvings", "3", "--batch", "8", "--device", "cpu"]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    shutil.rmtree(weights_folder() / "trained", ignore_errors=True)


def labelled(folder: Path, names: list[str], count: int = 12) -> list[str]:
    """Pictures tinted by their one label, and their table."""
    lines = [",".join(["file", *names])]
    for number in range(count):
        place = number % len(names)
        tinted = cv2.resize(data.scene(number), (SIDE, SIDE)).astype(np.float32) * 0.4 + 60
        tinted[..., place] += 90
        data.write(folder / f"{number}.png", tinted.clip(0, 255).astype(np.uint8))
        lines.append(",".join([f"{number}.png", *(str(int(place == each)) for each in range(len(names)))]))
    (folder / "labels.csv").write_text("\n".join(lines))
    return [str(folder), str(folder / "labels.csv")]


def test_it_learns_labels_and_is_an_editor_then(tmp_path: Path) -> None:
    arguments = [*labelled(tmp_path / "faces", ["reddish", "greenish"]), "--name", "tint", *QUICK, "--rate", "0.002"]
    arguments += ["--work", str(tmp_path / "work"), "--save-every", "1000", "--seed", "1"]
    assert main([*arguments, "--steps", "150"]) == 0
    (row,) = trained.entries()
    assert row.state == "ready"
    editor = row.load(lambda path: select.load(path, backend="onnxruntime", threads=1, cache_dir=tmp_path))
    crop = face_crop(SIDE)
    latent = editor.encode(crop, editor.Controls())
    assert latent.shape == (2,)
    tints = {}
    for label in ("reddish", "greenish"):
        controls = editor.Controls(**{label: 1.0})
        edit = editor.render(crop, np.array([0.5, 0.5], np.float32), editor.steer(latent, controls), controls)
        assert edit.delta is not None
        tints[label] = float((edit.delta[..., 0] - edit.delta[..., 1]).mean())
    assert tints["reddish"] > tints["greenish"] + 20


def test_two_sets_are_told_apart_by_a_mask(tmp_path: Path) -> None:
    first = labelled(tmp_path / "a", ["reddish", "greenish"])
    second = labelled(tmp_path / "b", ["happy", "neutral", "sad"])
    arguments = [*first, "--second", *second, "--name", "both", *QUICK, "--work", str(tmp_path / "work")]
    sets = _sets(_parser().parse_args(arguments))
    assert (sets.labels, sets.size, sets.span(1)) == (5, 7, (2, 5))
    assert sets.code(1, torch.tensor([[0.0, 1.0, 0.0]])).tolist() == [[0, 0, 0, 1, 0, 0, 1]]
    assert sets.exclusive == (("reddish", "greenish"), ("happy", "neutral", "sad"))
    assert main([*arguments, "--steps", "5"]) == 0
    assert main([*arguments, "--steps", "5"]) == 0  # nothing is left to do: exported again
    (row,) = trained.entries()
    assert list(row.controls().model_fields) == ["reddish", "greenish", "happy", "neutral_face", "sad"]
    editor = row.load(lambda path: select.load(path, backend="onnxruntime", threads=1, cache_dir=tmp_path))
    crop = face_crop(SIDE)
    latent = editor.encode(crop, editor.Controls())
    controls = editor.Controls(happy=1.0)
    edit = editor.render(crop, latent, editor.steer(latent, controls), controls)
    assert edit.delta is not None
    assert np.abs(edit.delta).max() > 0


def test_columns_are_chosen_of_the_second_table_alone(tmp_path: Path) -> None:
    first = labelled(tmp_path / "a", ["reddish", "greenish"])
    second = labelled(tmp_path / "b", ["happy", "neutral", "sad"])
    arguments = [*first, "--second", *second, "--name", "x", "--chosen-second", "happy,sad"]
    assert [part.names for part in _sets(_parser().parse_args(arguments)).data] == [
        ("reddish", "greenish"),
        ("happy", "sad"),
    ]


def test_groups_are_named_as_columns_are(tmp_path: Path) -> None:
    arguments = [*labelled(tmp_path, ["Black_Hair", "Blond_Hair"]), "--name", "x"]
    sets = _sets(_parser().parse_args([*arguments, "--exclusive", "Black_Hair, Blond_Hair"]))
    assert sets.exclusive == (("black_hair", "blond_hair"),)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("3.png,0,1", "3.png,0,maybe"), "line 5: greenish='maybe'"),
        (lambda text: text.replace("3.png", "gone.png"), "not in the folder: gone.png"),
        (lambda text: text.replace(",0,1", ",1,0"), "one class is missing: no picture has greenish; every"),
        (lambda text: text.replace("greenish", "a b"), "labels are names of letters"),
        (lambda text: "file\n", "no header"),
        (lambda text: text.replace(",", ";"), "no header with a file name and labels, parted by commas"),
        (lambda text: text.replace("3.png,0,1", "3.png,0,1,1"), "line 5 has 4, the header 3"),
        (lambda text: text.replace("3.png,0,1", "3.png,0"), "line 5 has 2, the header 3"),
        (lambda text: f"{text}\n3.png,1,0", r"labelled twice: 3.png \(lines 5 and 14\)"),
        (lambda text: text.replace("greenish", "reddish"), "several columns reddish"),
        (lambda text: text.replace("\n", "\n\n"), ""),
    ],
)
def test_bad_tables_are_named(change: object, said: str, tmp_path: Path) -> None:
    arguments = labelled(tmp_path, ["reddish", "greenish"])
    table = tmp_path / "labels.csv"
    table.write_text(change(table.read_text()))  # type: ignore[operator]
    options = _parser().parse_args([*arguments, "--name", "x"])
    if not said:
        assert len(_sets(options).data[0].files) == 12
        return
    with pytest.raises(DataError, match=said):
        _sets(options)


def test_a_table_that_is_no_text_or_no_file_is_named(tmp_path: Path) -> None:
    arguments = [*labelled(tmp_path, ["reddish", "greenish"]), "--name", "x"]
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"labels\.csv is no text in UTF-8"):
        _sets(_parser().parse_args(arguments))
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(DataError, match=r"labels\.csv: No such file"):
        _sets(_parser().parse_args(arguments))


def test_pictures_without_a_row_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*labelled(tmp_path, ["reddish", "greenish"]), "--name", "x"]
    data.write(tmp_path / "extra.png", data.scene(0))
    assert len(_sets(_parser().parse_args(arguments)).data[0].files) == 12
    assert "labels.csv: extra.png\n" in capsys.readouterr().err
    (tmp_path / "3.png").unlink()
    (tmp_path / "3.png").symlink_to("3.png")
    with pytest.raises(DataError, match=r"unreadable: .*3\.png"):
        _sets(_parser().parse_args(arguments))


def test_unreadable_pictures_and_wrong_groups_are_named(tmp_path: Path) -> None:
    arguments = [*labelled(tmp_path, ["reddish", "greenish", "bluish"]), "--name", "x"]
    (tmp_path / "4.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"unreadable: .*4.png"):
        _sets(_parser().parse_args(arguments))
    assert len(_sets(_parser().parse_args([*arguments, "--skip-bad"])).data[0].files) == 11
    with pytest.raises(DataError, match="stand side by side"):
        _sets(_parser().parse_args([*arguments, "--skip-bad", "--exclusive", "reddish,bluish"]))
    with pytest.raises(DataError, match="has no column smile; there are reddish"):
        _sets(_parser().parse_args([*arguments, "--skip-bad", "--chosen", "smile"]))


def test_the_penalty_is_nought_at_slope_one() -> None:
    class Slope(Discriminator):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return image[:, :1, :1, :1] * self.factor, image  # type: ignore[operator]

    critic = Slope(8, 1, 2, 1)
    pictures = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    for factor, want in ((1.0, 0.0), (3.0, 4.0)):
        critic.factor = factor  # type: ignore[assignment]
        assert float(gradient_penalty(critic, *pictures, torch.rand(2, 1, 1, 1)).detach()) == pytest.approx(want)


def test_labels_are_summed_or_one_of_a_kind() -> None:
    logits, labels = torch.zeros(2, 4), torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])
    assert float(label_loss(logits, labels, exclusive=False)) == pytest.approx(4 * np.log(2), rel=1e-5)
    assert float(label_loss(logits, labels, exclusive=True)) == pytest.approx(np.log(4), rel=1e-5)


def test_a_damaged_entry_leaves_the_catalog_whole(caplog: pytest.LogCaptureFixture) -> None:
    folder = trained.trained_folder("odd")
    folder.mkdir(parents=True)
    (folder / trained.FACTS).write_text('{"kind": "stargan", "title": "x", "description": ""}')
    assert trained.entries() == ()
    assert "odd" in caplog.text
