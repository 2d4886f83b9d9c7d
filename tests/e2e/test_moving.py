"""The page in a cluster: it changes over to another replica when its own one has to go."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from playwright.sync_api import Download, Page, expect

from tests.e2e.driver import go_live
from tests.signaling.cluster.standins import Service, service

MOST_MS = 2000
"""Between two frames of the edited video."""
WAIT_MS = 20_000
WATCH_JS = """() => {
  const seen = { longest: 0, states: [], last: performance.now() };
  const video = document.getElementById("edited");
  const step = () => {
    const now = performance.now();
    seen.longest = Math.max(seen.longest, now - seen.last);
    seen.last = now;
    video.requestVideoFrameCallback(step);
  };
  video.requestVideoFrameCallback(step);
  new MutationObserver(() => seen.states.push(document.body.dataset.state))
    .observe(document.body, { attributeFilter: ["data-state"] });
  return seen;
}"""


class Background:
    """A cluster in a thread, and how to ask it.

    Attributes:
        url: of one of its ingresses.
    """

    def __init__(self, cluster: Service, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self.url = url
        self._cluster = cluster
        self._loop = loop

    def holders(self) -> list[str]:
        """Replicas that have a session."""
        return [id for id, count in self._cluster.sessions().items() if count]

    def drain(self, id: str) -> None:
        """Take a replica away as Serve does, and wait until it has ended."""
        replica = self._cluster.running.pop(id)
        assert replica is not None
        asyncio.run_coroutine_threadsafe(replica.drain(60), self._loop).result(timeout=90)

    def brightness(self, id: str) -> float:
        """What the session at a replica has for the control."""
        replica = self._cluster.running[id]
        assert replica is not None
        [session] = replica._sessions
        assert session._video is not None
        return float(session._video.look.settings.controls.get("brightness", 0) or 0)


@contextmanager
def in_background() -> Iterator[Background]:
    over, made = threading.Event(), list[Background]()
    ready = threading.Event()

    async def run() -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            async with service(2) as cluster:
                config = uvicorn.Config(cluster.apps[0], log_level="warning", lifespan="off")
                server = uvicorn.Server(config)
                serving = asyncio.create_task(server.serve([listening]))
                url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                while not server.started:
                    await asyncio.sleep(0.02)
                made.append(Background(cluster, asyncio.get_running_loop(), url))
                ready.set()
                while not over.is_set():
                    await asyncio.sleep(0.05)
                server.should_exit = True
                await serving

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield made[0]
    finally:
        over.set()
        thread.join()


def test_the_page_goes_on_at_another_replica_with_its_settings(page: Page) -> None:
    with in_background() as cluster:
        go_live(page, cluster.url)
        page.get_by_role("slider", name="Brightness").fill("150")
        [first] = cluster.holders()
        expect(page.locator("body")).to_have_attribute("data-state", "live")
        while cluster.brightness(first) != 150:
            page.wait_for_timeout(50)
        seen = page.evaluate_handle(WATCH_JS)
        cluster.drain(first)
        [second] = cluster.holders()
        assert second != first
        assert cluster.brightness(second) == 150
        page.wait_for_timeout(500)
        watched = seen.json_value()
        assert watched["longest"] < MOST_MS, watched
        assert set(watched["states"]) <= {"live"}, watched
        page.get_by_role("button", name="Stop").click()


def test_a_recording_goes_on_at_another_replica(page: Page) -> None:
    downloads: list[Download] = []
    page.on("download", lambda download: downloads.append(download))  # noqa: PLW0108  a function of Python
    with in_background() as cluster:
        go_live(page, cluster.url)
        page.keyboard.press("r")
        expect(page.locator("#recording-time")).not_to_have_text(re.compile("^0:0[01]$"))
        [first] = cluster.holders()
        cluster.drain(first)
        expect(page.locator("#toasts")).to_contain_text("goes on in another file", timeout=WAIT_MS)
        page.wait_for_timeout(3000)
        page.locator("#record").click()
        for _ in range(WAIT_MS // 100):
            if len(downloads) >= 2:
                break
            page.wait_for_timeout(100)
        assert len(downloads) == 2, page.locator("#toasts").text_content()
        page.get_by_role("button", name="Stop").click()
