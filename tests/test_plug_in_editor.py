"""The example of docs/editors.md: installed, found, and driven over a picture; and what becomes of broken plug-ins."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.select import load as load_engine
from models import catalog
from models.editor import Crop
from models.training.apply import apply_edit

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "editor_tint"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example, installed by pip into a folder of its own, without any index."""
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("*.onnx", "build", "*.egg-info"))
    subprocess.run([sys.executable, "make_network.py"], cwd=source, check=True, timeout=60)
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(source)]
    subprocess.run(command, check=True, timeout=120)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield site
    sys.modules.pop("latentcam_tint", None)


def test_the_example_is_found_and_edits(installed: Path, tmp_path: Path) -> None:
    [row] = [row for row in catalog.plug_ins() if row.name == "tint"]
    assert row.state == "ready"
    editor = row.load(
        lambda path: load_engine(path, backend="onnxruntime", precision="f32", threads=1, cache_dir=tmp_path / "cache")
    )
    grey = np.full((256, 256, 3), 120, np.uint8)
    crop = Crop(grey, np.array([[96, 128], [160, 128], [128, 160], [108, 190], [148, 190]], np.float32))
    controls = row.controls().model_validate({"warmth": 1.0})
    latent = editor.encode(crop, controls)
    picture = apply_edit(editor.render(crop, latent, editor.steer(latent, controls), controls), grey)
    assert picture[128, 128].tolist() == [156, 120, 84]
    assert picture[0, 0].tolist() == [120, 120, 120]
    assert row.controls()().neutral()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise ImportError('no such\\nlibrary')", "ImportError: no such library"),
        ("ENTRY = 3", "TypeError: its entry point gives no models.entry.Entry"),
        ("def ENTRY(): raise RuntimeError('out of order')", "RuntimeError: out of order"),
        ("", "AttributeError"),
    ],
)
def test_a_broken_plug_in_is_a_row_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, why: str
) -> None:
    (tmp_path / "broken_plug_in.py").write_text(code)
    info = tmp_path / "broken_plug_in-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plug-in\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[latentcam.editors]\nbroken = broken_plug_in:ENTRY\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    sys.modules.pop("broken_plug_in", None)
    [row] = [row for row in catalog.plug_ins() if row.name == "broken"]
    assert row.state == "cannot be loaded"
    assert why in row.why
    with pytest.raises(RuntimeError, match="cannot be loaded"):
        row.load(lambda path: None)  # type: ignore[arg-type, return-value]
    sys.modules.pop("broken_plug_in", None)
