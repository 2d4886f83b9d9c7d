"""The wheel: one package in site-packages that carries the tree, and commands that work from an empty folder."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import latentcam
from latentcam import doctor
from latentcam.__main__ import _run_module

ROOT = Path(__file__).resolve().parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling: pip install -r requirements-test.txt")
    folder = tmp_path_factory.mktemp("dist")
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def site_packages(prefix: Path) -> Path:
    paths = sysconfig.get_paths(vars={"base": str(prefix), "platbase": str(prefix)}, scheme="venv")
    return Path(paths["purelib"])


@pytest.fixture(scope="module", params=["pip", "uv"])
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the wheel; the dependencies are those of the tests' own."""
    prefix = tmp_path_factory.mktemp(request.param)
    python = str(prefix / "bin" / "python")
    if request.param == "uv":
        if UV is None:
            pytest.skip("there is no uv")
        subprocess.run([UV, "venv", "--quiet", "--offline", "-p", sys.executable, str(prefix)], check=True)
        install = [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "-p", python, str(wheel)]
    else:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
        install = [*PIP, "--python", python, "install", "--no-deps", str(wheel)]
    subprocess.run(install, check=True)
    own = [path for path in sys.path if path.endswith("site-packages")]
    (site_packages(prefix) / "dependencies.pth").write_text("\n".join(own))
    return prefix


def run(prefix: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(prefix / "bin" / words[0]), *words[1:]]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"latentcam", f"latentcam-{_version()}.dist-info"}
    inside = {name.removeprefix("latentcam/") for name in names}
    wanted = ("web/index.html", "web/app.js", "web/manifest.webmanifest", "models/embedded/editor_reader.onnx")
    assert inside >= {*wanted, "models/embedded/MODEL_CARD.md", "server.py", "pyproject.toml", "engines/base.py"}
    assert not [name for name in inside if name.startswith(("tests/", "models/training/")) or name.endswith(".pyc")]


def _version() -> str:
    found = re.search(r'VERSION = "(.+)"', (ROOT / "signaling" / "app.py").read_text())
    assert found is not None
    return found[1]


def test_nothing_else_lands_in_site_packages(installed: Path) -> None:
    names = {path.name.partition("-")[0] for path in site_packages(installed).iterdir()}
    assert names - {"dependencies.pth", "_virtualenv.pth", "_virtualenv.py", "__pycache__"} == {"latentcam"}


def test_the_commands_work_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    told = run(installed, "latentcam", "doctor", cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "ready: embedded, hair, child" in told.stdout
    listed = run(installed, "latentcam", "models.catalog", cwd=tmp_path)
    assert (listed.returncode, "embedded" in listed.stdout) == (0, True)
    unknown = run(installed, "latentcam", "dance", cwd=tmp_path)
    assert (unknown.returncode, "doctor" in unknown.stderr) == (2, True)
    refused = run(installed, "latentcam-files", "gone.mp4", "out.mp4", cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (1, "error: gone.mp4 does not exist\n")
    assert "--list" in run(installed, "latentcam-camera", "--help", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def served(installed: Path, tmp_path: Path) -> Iterator[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(installed / "bin" / "latentcam"), "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def test_the_server_of_a_wheel_serves_the_page(served: str) -> None:
    page = httpx.get(served)
    assert page.status_code == 200
    assert "Latentcam" in page.text
    editors = {editor["name"]: editor["state"] for editor in httpx.get(f"{served}/capabilities").json()["editors"]}
    assert editors["embedded"] == "ready"


def test_a_plug_in_finds_the_contract(installed: Path, tmp_path: Path) -> None:
    code = "from latentcam.api import Editor, Entry; print(Editor.__module__, Entry.__module__)"
    assert run(installed, "python", "-c", code, cwd=tmp_path).stdout.split() == ["models.editor", "models.entry"]


def test_the_dependencies_are_those_of_the_requirements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for listed, file in (
        (project["dependencies"], "requirements.txt"),
        (project["optional-dependencies"]["dev"], "requirements-test.txt"),
    ):
        pinned = {
            re.split(r"[=;]", line)[0]
            for line in (ROOT / file).read_text().splitlines()
            if line and not line.startswith(("#", "tensorrt"))
        }
        assert {re.split(r"[>~=;]", line)[0] for line in listed} == pinned, file


def test_the_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "av" else find(name))
    assert doctor.main([]) == 1
    assert "BAD  packages: av is not installed -> pip install" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["stream", "stream.nothing", "dance"])
def test_what_is_no_command_is_told(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run_module(name) == 2
    assert f"there is no command '{name}'" in capsys.readouterr().err


def test_a_checkout_is_its_own_tree() -> None:
    assert latentcam.TREE == ROOT
