"""A headless Firefox, driven over Marionette: its own protocol, JSON over TCP; no driver has to be installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

INSTALL_HINT = "needs Firefox: apt-get install firefox-esr"
START_S = 90.0
SCRIPT_S = 90.0
PREFERENCES = {
    "marionette.port": 0,
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.loopback": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
}


def find() -> str | None:
    """The program, or None."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """One browser with one tab and an empty profile; a context manager.

    Args:
        profile: an empty folder.
    """

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._count = 0

    def __enter__(self) -> Self:
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
        (self._profile / "user.js").write_text("".join(lines))
        program = find()
        assert program is not None
        command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(self._profile)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._socket = socket.create_connection(("127.0.0.1", self._port()), timeout=SCRIPT_S)
            self._read()  # its greeting
            self.command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}})
            self.command("WebDriver:SetTimeouts", {"script": int(1000 * SCRIPT_S)})
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def goto(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self.command("WebDriver:Navigate", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of an async function in the page, with `arguments`, and return what it returns."""
        wrapped = (
            "const [done, ...args] = [arguments[arguments.length - 1], ...[...arguments].slice(0, -1)];"
            f"(async (...arguments) => {{ {script} }})(...args)"
            ".then((value) => done({ value }), (error) => done({ error: String(error) }));"
        )
        said = self.command("WebDriver:ExecuteAsyncScript", {"script": wrapped, "args": list(arguments)})["value"]
        if "error" in said:
            raise RuntimeError(said["error"])
        return said.get("value")

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        """Send one command and wait for its result.

        Raises:
            RuntimeError: the browser refuses it.
        """
        assert self._socket is not None
        self._count += 1
        message = json.dumps([0, self._count, name, parameters]).encode()
        self._socket.sendall(f"{len(message)}:".encode() + message)
        _, _, error, result = self._read()
        if error is not None:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}")
        return result

    def _port(self) -> int:
        """The free port that it chose, from the file in which it says so."""
        told = self._profile / "MarionetteActivePort"
        ends_at = time.monotonic() + START_S
        while not told.exists() or not told.read_text().strip():
            if time.monotonic() > ends_at:
                raise RuntimeError(f"Firefox did not start within {START_S:g} s")
            time.sleep(0.1)
        return int(told.read_text())

    def _read(self) -> Any:
        assert self._socket is not None
        size = b""
        while not size.endswith(b":"):
            size += self._received(1)
        return json.loads(self._received(int(size[:-1])))

    def _received(self, count: int) -> bytes:
        assert self._socket is not None
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise RuntimeError("Firefox has ended")
            data += part
        return data

    def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
