from __future__ import annotations

from pathlib import Path

import pytest

from engines import networks
from engines.base import EngineError
from engines.networks import shipped_networks, write_published_networks


def test_the_project_provides_its_networks() -> None:
    assert {"segmenter.onnx", "landmarks.onnx"} <= {path.name for path in shipped_networks()}
    pytest.importorskip("torch", reason="published networks are written by torch")
    with pytest.raises(EngineError, match=r"there is no frobnicator; there are .*stargan-128, "):
        write_published_networks(Path("unused"), ["frobnicator"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not name what provides them"),
        ("[tool.other]", "does not name what provides them"),
        ('[tool.latentcam.networks]\nshipped = "no_such_module:networks"', "no_such_module is not installed"),
        ('[tool.latentcam.networks]\nshipped = "no_colon"', "does not name what provides them"),
        ("not toml", "does not name what provides them"),
    ],
)
def test_a_project_without_networks_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, reason: str
) -> None:
    project = tmp_path / "pyproject.toml"
    if content is not None:
        project.write_text(content)
    monkeypatch.setattr(networks, "PROJECT_FILE", project)
    with pytest.raises(EngineError, match=f"no shipped networks: .*{reason}"):
        shipped_networks()
