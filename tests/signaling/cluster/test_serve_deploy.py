"""`serve deploy` takes the configuration that ships, with the networks that ship. `make cluster-test` runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.signaling.cluster.machines import OBJECT_STORE, ROOT, SLOW_MACHINE

ASKED_FOR = bool(os.environ.get("LATENTCAM_CLUSTER_TESTS"))
if ASKED_FOR:
    pytest.importorskip("ray.serve")

pytestmark = pytest.mark.skipif(not ASKED_FOR, reason="takes minutes: make cluster-test")

CONFIGURATION = ROOT / "deploy" / "cluster" / "serve.yaml"
SCRIPTS = Path(sys.executable).parent
PATIENCE_S = 600.0
"""Only tells a hang from a busy machine: three replicas load their networks on it."""


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@contextmanager
def head() -> Iterator[str]:
    """A Ray cluster of one node, which says that it has the processors that the configuration asks for.

    Yields:
        Address of its dashboard, which takes deployments.
    """
    dashboard = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATENTCAM_")}
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp"
    ) as folder:  # the paths of Ray's sockets have to be short
        process = subprocess.Popen(
            [
                *(SCRIPTS / "ray", "start", "--head", "--block", "--num-cpus", "16", "--node-ip-address", "127.0.0.1"),
                *("--port", str(free_port()), "--include-dashboard", "true", "--dashboard-host", "127.0.0.1"),
                *("--dashboard-port", str(dashboard), "--object-store-memory", str(OBJECT_STORE)),
                *("--temp-dir", folder, "--ray-client-server-port", str(free_port())),
            ],
            env={**environment, **SLOW_MACHINE},
            cwd=ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{dashboard}"
        finally:
            process.terminate()  # ends the node's other processes too
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def serve(dashboard: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [SCRIPTS / "serve", *arguments, "--address", dashboard]
    return subprocess.run(command, env={**os.environ, **SLOW_MACHINE}, capture_output=True, text=True, check=False)


def test_serve_deploys_the_configuration(tmp_path: Path) -> None:
    port = free_port()
    shipped = CONFIGURATION.read_text()
    assert "port: 8080" in shipped
    configuration = tmp_path / "serve.yaml"
    configuration.write_text(shipped.replace("port: 8080", f"port: {port}"))  # another program may have that one
    with head() as dashboard:
        ends_at = time.monotonic() + PATIENCE_S
        while (deployed := serve(dashboard, "deploy", configuration)).returncode != 0:
            assert time.monotonic() < ends_at, deployed.stdout + deployed.stderr
            time.sleep(1)
        while "HEALTHY" not in (status := serve(dashboard, "status").stdout).split("deployments:")[-1] or any(
            word in status for word in ("UPDATING", "DEPLOYING", "STARTING")
        ):
            assert "FAILED" not in status, status
            assert time.monotonic() < ends_at, status
            time.sleep(1)
        assert "RUNNING: 3" in status, status
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            assert http.get("/readyz").json()["status"] == "ok"
            assert [one["name"] for one in http.get("/capabilities").json()["editors"]][:1] == ["embedded"]
            assert http.get("/").status_code == 200
        assert serve(dashboard, "shutdown", "-y").returncode == 0
