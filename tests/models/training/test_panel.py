from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.training.panel import CELL, LABEL_HEIGHT, Cell, main, score_panel, write_panel


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    pictures = [
        (Cell("real" if shade < 5 else "edited", shade, 70.0), np.full((64, 64, 3), 20 * shade, np.uint8))
        for shade in range(13)
    ]
    write_panel(pictures, tmp_path / "sheets", tmp_path / "keys" / "old.json", seed=3)
    return tmp_path


def test_sheets_show_the_cells_in_the_order_of_the_key(panel: Path) -> None:
    cells = json.loads((panel / "keys" / "old.json").read_text())
    assert [cell["row"] for cell in cells] != list(range(13))
    assert sorted(path.name for path in (panel / "sheets").iterdir()) == ["sheet_00.png", "sheet_01.png"]
    sheet = cv2.imread(str(panel / "sheets" / "sheet_00.png"))
    assert sheet is not None
    step = CELL + LABEL_HEIGHT
    for place in range(12):
        y, x = (place // 4) * step + LABEL_HEIGHT + CELL // 2, (place % 4) * CELL + CELL // 2
        assert abs(int(sheet[y, x, 0]) - 20 * cells[place]["row"]) <= 3


def test_scores_are_per_kind(panel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = json.loads((panel / "keys" / "old.json").read_text())
    lines = ["cell,altered_0_100,age"]
    for number, cell in enumerate(cells):
        lines.append(f"{number},{10 if cell['kind'] == 'real' else 90},{72 if cell['kind'] == 'real' else 50}")
    (panel / "answers.csv").write_text("\n".join(lines))
    edited, real = score_panel(panel / "keys" / "old.json", [panel / "answers.csv"])
    assert (edited.kind, edited.answers, edited.real, edited.guess, edited.error) == ("edited", 8, 0.0, 50.0, 20.0)
    assert (real.real, real.suspicion, real.error) == (1.0, 10.0, 2.0)
    assert main([str(panel / "keys" / "old.json"), str(panel / "answers.csv")]) == 0
    assert "| edited | 8 | 0.00 |" in capsys.readouterr().out


def test_an_unknown_cell_is_named(panel: Path) -> None:
    (panel / "answers.csv").write_text("cell,altered_0_100,age\n13,50,40\n")
    with pytest.raises(ValueError, match=r"names cell 13, the sheets have 13"):
        score_panel(panel / "keys" / "old.json", [panel / "answers.csv"])
