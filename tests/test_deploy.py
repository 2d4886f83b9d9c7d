"""What ships to host the server: images, compose file, units. Checked as far as a machine without Docker can."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from signaling import marks
from signaling.app import create_app
from signaling.settings import ServerSettings

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
IMAGES = ("Dockerfile", "Dockerfile.cuda")
VALUES = {"DOMAIN": "cam.example.org", "PUBLIC_IP": "203.0.113.9", "TURN_SECRET": "0123456789abcdef0123456789abcdef"}


def instructions(image: str) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile with their arguments, continued lines joined, comments left out."""
    lines = [line for line in (ROOT / image).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [
        (word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


def interpolate(value: Any, values: dict[str, str]) -> Any:
    """A part of the compose file with its variables filled in, as compose does.

    Raises:
        KeyError: a variable that must be set is not.
    """
    if isinstance(value, dict):
        return {key: interpolate(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolate(each, values) for each in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        name, mark, other = match[1], match[2] or "", match[3] or ""
        present = values.get(name, "")
        match mark:
            case ":?" if not present:
                raise KeyError(name)
            case ":-":
                return present or other
            case ":+":
                return interpolate(other, values) if present else ""
        return present

    inner = re.compile(r"\$\{([A-Z_]+)(?:(:[?+-])((?:[^{}$]|\$\{[^{}]*\})*))?\}")
    before = None
    while before != value:
        before, value = value, inner.sub(fill, value)
    return value


def compose(**more: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    filled: dict[str, Any] = interpolate(loaded, VALUES | more)
    return filled


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_nobody_and_says_how_it_is(image: str) -> None:
    found = instructions(image)
    words = [word for word, _ in found]
    last = found[max(i for i, word in enumerate(words) if word == "FROM") :]
    stage = dict(last)
    assert stage["USER"] not in ("root", "0", "")
    assert [word for word, _ in last].index("USER") < [word for word, _ in last].index("ENTRYPOINT")
    assert "/livez" in stage["HEALTHCHECK"]
    command = json.loads(stage["HEALTHCHECK"].partition(" CMD ")[2].replace(r"\"8080\"", "8080"))
    compile(command[-1], "health check", "exec")
    assert json.loads(stage["ENTRYPOINT"]) == ["latentcam"]
    assert "ADD" not in words
    assert not any(re.search(r"curl|wget|sudo|--privileged", rest) for word, rest in found if word == "RUN")


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_slim(image: str) -> None:
    found = instructions(image)
    runs = [rest for word, rest in found if word == "RUN"]
    for run in runs:
        if "apt-get install" in run:
            assert "--no-install-recommends" in run
            assert "rm -rf /var/lib/apt/lists/*" in run
        if "pip install" in run:
            assert "--no-cache-dir" in run
    assert [rest for word, rest in found if word == "FROM"] == ["${BASE} AS build", "${BASE}"]
    base = next(rest for word, rest in found if word == "ARG")
    assert re.fullmatch(r"BASE=[a-z0-9./-]+:[0-9][\w.-]+", base), "a base image has a version"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_the_whole_program(image: str) -> None:
    copied = [shlex.split(rest) for word, rest in instructions(image) if word == "COPY" and "--from" not in rest]
    sources = {source for each in copied for source in each[:-1]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sources >= {*wheel["only-include"], *wheel["force-include"], "LICENSE", "README.md"}
    passed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in passed), f"{source} is ignored"


def test_both_images_are_alike() -> None:
    """What differs is the packages for GPUs and the time that their networks take."""
    both = [set(instructions(image)) for image in IMAGES]
    assert {word for word, _ in both[0] ^ both[1]} == {"RUN", "ENV", "HEALTHCHECK"}
    assert len(both[0] - both[1]) == 3


def test_services_may_do_little() -> None:
    services = compose()["services"]
    for name in ("latentcam", "caddy", "coturn"):
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service.get("privileged") is None
    assert services["latentcam"].get("cap_add") is None
    assert all(re.search(":[v0-9]", service["image"]) for name, service in services.items() if name != "latentcam")


def test_the_temporary_folder_has_room_for_all_that_strangers_send_at_once() -> None:
    """It is memory: there is a bound, and it is that of the uploads."""
    [tmpfs] = compose()["services"]["latentcam"]["tmpfs"]
    size = re.search(r"size=(\d+)m", tmpfs)
    assert size is not None
    spare = (int(size[1]) << 20) - marks.UPLOADS * marks.MAX_BYTES
    assert 32 << 20 <= spare <= 128 << 20


def test_files_that_are_mounted_exist() -> None:
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./deploy/"):
                assert (ROOT / source).is_file(), source


def test_the_settings_in_the_compose_file_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = compose()["services"]["latentcam"]["environment"]
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[me]\ntoken = "long enough for one"\n')
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        field = name.removeprefix("LATENTCAM_").lower()
        assert field in ServerSettings.model_fields, name
        monkeypatch.setenv(name, str(tokens) if field == "tokens" else value)
    settings = ServerSettings.load([])
    assert settings.local, "Caddy alone reaches it"
    assert settings.protected
    assert not settings.loopback
    assert not settings.fetching
    assert settings.allowed_origins == ["https://cam.example.org"]
    assert settings.ice_servers[0].secret is not None
    assert settings.ice_servers[0].secret.get_secret_value() == VALUES["TURN_SECRET"]
    assert create_app(settings).state.tokens.asked_for


@pytest.mark.parametrize("missing", sorted(VALUES))
def test_nothing_starts_without_what_must_be_chosen(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        interpolate(yaml.safe_load((ROOT / "compose.yaml").read_text()), {**VALUES, missing: ""})


def test_the_example_names_all_variables() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))
    named = set(re.findall(r"^#?([A-Z_]+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))
    assert named == used - {"CONFIG"}


def test_ports_of_media_and_of_the_relay_are_apart() -> None:
    loaded = compose()
    first, last = map(int, loaded["services"]["latentcam"]["environment"]["LATENTCAM_MEDIA_PORTS"].split("-"))
    relay = dict(line.split("=", 1) for line in turnserver().splitlines() if "=" in line and "peer-ip" not in line)
    assert last < int(relay["min-port"]) or int(relay["max-port"]) < first


def turnserver(**more: str) -> str:
    return str(compose(**more)["configs"]["turnserver"]["content"])


@pytest.mark.parametrize("private", ["", "10.0.0.5"])
def test_coturn_takes_its_file(private: str, tmp_path: Path) -> None:
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip("needs coturn's turnserver")
    text = turnserver(PRIVATE_IP=private)
    assert f"external-ip=203.0.113.9{'/10.0.0.5' if private else ''}\n" in text
    assert f"allowed-peer-ip={private or '203.0.113.9'}\n" in text
    file = tmp_path / "turnserver.conf"
    file.write_text(text)
    with subprocess.Popen(
        [program, "-c", file, "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--listening-port=0",
         f"--pidfile={tmp_path}/pid", f"--userdb={tmp_path}/db"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        said = []
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if "Total General servers" in line or "relay addresses" in line.lower():
                break
        process.kill()
    output = "".join(said)
    assert "Bad configuration" not in output
    assert "Unknown" not in output


@pytest.mark.skipif(shutil.which("caddy") is None, reason="needs caddy")
def test_caddy_takes_its_file(tmp_path: Path) -> None:
    environment = {**os.environ, "DOMAIN": "cam.example.org", "HOME": str(tmp_path)}
    command = ["caddy", "adapt", "--validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    adapted = json.loads(done.stdout)
    assert adapted["admin"]["disabled"] is True
    assert "127.0.0.1:8080" in done.stdout
    assert (
        subprocess.run(["caddy", "fmt", DEPLOY / "Caddyfile"], capture_output=True, text=True, check=True).stdout
        == (DEPLOY / "Caddyfile").read_text()
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "latentcam.service"
    unit.write_text((DEPLOY / "latentcam.service").read_text().replace("/opt/latentcam/bin/latentcam", "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=25", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert rated.returncode == 0, rated.stdout[-300:]


def test_prometheus_and_grafana_find_their_files() -> None:
    scrape = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"][0]
    assert scrape["static_configs"][0]["targets"] == [f"127.0.0.1:{ServerSettings().port}"]
    mounted = compose()["services"]["grafana"]["volumes"]
    folder = yaml.safe_load((DEPLOY / "grafana-dashboards.yaml").read_text())["providers"][0]["options"]["path"]
    assert any(volume.split(":")[1].startswith(f"{folder}/") for volume in mounted)
