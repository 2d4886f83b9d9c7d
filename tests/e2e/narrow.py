"""`python -m tests.e2e.narrow`: the page on a narrow and on a lossy way, beside Chromium to Chromium on the same way.

Every packet between browser and server goes through a relay on 127.0.0.1 that lets through so many bits a second, has a
queue of so many milliseconds, a delay, and loses some. The other connection runs in the same page, from the browser to
itself through relays of the same kind, and comes back as the page's does.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

from tests.e2e import browser as chromium
from tests.e2e import fake_camera
from tests.e2e.service import Service
from tests.relay import Relay, Way, relayed

WAYS = (
    Way("no bound"),
    Way("1 Mbit/s", bitrate=1_000_000),
    Way("5 % of packets lost", loss=0.05),
)


class Relays:
    """Makes relays on request: `POST /` with an answer gives it back with the relays' ports."""

    def __init__(self) -> None:
        self.way = WAYS[0]
        self._relays: list[Relay] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = min(int(self.headers["Content-Length"]), 1 << 16)
                answer = outer.through_relays(self.rfile.read(size).decode()).encode()
                self.send_response(200)
                self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def through_relays(self, answer: str) -> str:
        """An answer whose one candidate is a relay to its first one on 127.0.0.1."""
        relay, answer = relayed(answer, self.way)
        self._relays.append(relay)
        return answer

    def clear(self) -> None:
        for relay in self._relays:
            relay.stop()
        self._relays.clear()

    def close(self) -> None:
        self.clear()
        self._server.shutdown()


# call(camera, answerOf): offers without candidates, so that the only way is the relay.
CALL_JS = """
(() => {
  const counter = %s;
  const gathered = (pc) => new Promise((resolve) => {
    const check = () => pc.iceGatheringState === "complete" && resolve();
    pc.addEventListener("icegatheringstatechange", check);
    check();
  });
  const isCandidate = (line) => /^a=(candidate|end-of-candidates)/.test(line);
  const bare = (sdp) => sdp.split("\\r\\n").filter((line) => !isCandidate(line)).join("\\r\\n");
  const relayed = async (sdp) => (await fetch(window.relays, { method: "POST", body: sdp })).text();
  const show = async (stream) => {
    const video = Object.assign(document.createElement("video"), { autoplay: true, muted: true, srcObject: stream });
    await video.play();
    return video;
  };
  const prefer = (transceiver) => {
    const codecs = RTCRtpSender.getCapabilities("video").codecs;
    const first = codecs.filter(({ mimeType }) => mimeType === window.codec);
    transceiver.setCodecPreferences([...first, ...codecs.filter(({ mimeType }) => mimeType === "video/rtx")]);
  };
  window.call = async (camera, answerOf) => {
    const pc = new RTCPeerConnection();
    const transceiver = pc.addTransceiver(camera.getVideoTracks()[0], { direction: "sendrecv", streams: [camera] });
    prefer(transceiver);
    const arrived = new Promise((resolve) => { pc.ontrack = ({ track }) => resolve(new MediaStream([track])); });
    await pc.setLocalDescription();
    await gathered(pc);
    const answer = await answerOf(bare(pc.localDescription.sdp));
    await pc.setRemoteDescription({ type: "answer", sdp: await relayed(answer) });
    return { pc, video: await show(await arrived) };
  };
  window.server = (url) => async (sdp) => {
    const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: sdp });
    return response.text();
  };
  window.browser = async (sdp) => {
    const pc = new RTCPeerConnection();
    window.others = [...(window.others ?? []), pc];
    pc.ontrack = ({ track }) => pc.getTransceivers()[0].sender.replaceTrack(track);
    await pc.setRemoteDescription({ type: "offer", sdp });
    pc.getTransceivers()[0].direction = "sendrecv";
    await pc.setLocalDescription();
    await gathered(pc);
    return pc.localDescription.sdp;
  };
  window.watch = (camera, { pc, video }) => {
    const shownAt = new Map();
    const look = (now) => {
      const number = counter(camera);
      if (number !== null) shownAt.set(number, now);
      camera.requestVideoFrameCallback(look);
    };
    camera.requestVideoFrameCallback(look);
    return (seconds) => new Promise((resolve) => {
      const delays = [], times = [];
      const end = performance.now() + 1000 * seconds;
      const step = (now) => {
        times.push(now);
        const number = counter(video);
        if (number !== null && shownAt.has(number)) delays.push(now - shownAt.get(number));
        if (now < end) video.requestVideoFrameCallback(step);
      };
      video.requestVideoFrameCallback(step);
      const bits = async () => {
        let sent = 0, received = 0, target = 0;
        for (const report of (await pc.getStats()).values()) {
          if (report.type === "outbound-rtp") [sent, target] = [sent + report.bytesSent, report.targetBitrate ?? 0];
          if (report.type === "inbound-rtp") received += report.bytesReceived;
        }
        return { sent: 8 * sent, received: 8 * received, target };
      };
      const before = bits();
      setTimeout(async () => {
        const [from, to] = [await before, await bits()];
        delays.sort((a, b) => a - b);
        const gaps = times.slice(1).map((time, i) => time - times[i]);
        resolve({
          fps: times.length / seconds,
          delay: delays[Math.floor(delays.length / 2)] ?? null,
          late: delays[Math.floor(0.95 * delays.length)] ?? null,
          gap: Math.max(0, ...gaps),
          up: (to.sent - from.sent) / seconds / 1e6,
          down: (to.received - from.received) / seconds / 1e6,
          target: to.target / 1e6,
          width: video.videoWidth,
        });
      }, 1000 * seconds + 200);
    });
  };
})();
"""

RUN_JS = """
async ([relays, codec, url, settle, seconds]) => {
  Object.assign(window, { relays, codec });
  const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, frameRate: 30 } });
  const own = Object.assign(document.createElement("video"), { autoplay: true, muted: true, srcObject: camera });
  await own.play();
  const made = await window.call(camera, url ? window.server(url) : window.browser);
  const measure = window.watch(own, made);
  await new Promise((resolve) => setTimeout(resolve, 1000 * settle));
  const found = await measure(seconds);
  for (const pc of [made.pc, ...(window.others ?? [])]) pc.close();
  camera.getTracks().forEach((track) => track.stop());
  return found;
}
"""


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--settle", type=float, default=15.0, help="seconds that are left out first")
    parser.add_argument("--codec", default="video/H264")
    parser.add_argument("--age", type=float, help="an edit: the age that is shown")
    parser.add_argument("--way", choices=[way.name for way in WAYS], help="this one alone")
    options = parser.parse_args()
    expect.set_options(timeout=120_000)
    query = f"?settings={json.dumps({'controls': {'age': options.age}})}" if options.age is not None else ""
    relays = Relays()
    print(
        "| way | through | fps | delay p50, p95, ms | longest gap, ms | Mbit/s there, back (aimed at there) | width |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, Service(log=Path(folder) / "log.txt") as service:
        clip = fake_camera.write_clip(Path(folder) / "camera.mjpeg", 640, 480, fake_camera.astronaut(), 150)
        with sync_playwright() as playwright, chromium.launched(playwright, clip) as browser:
            page = browser.new_context(bypass_csp=True, permissions=["camera"]).new_page()
            page.goto(service.url)
            page.evaluate(CALL_JS % fake_camera.READ_COUNTER_JS)
            for way in (way for way in WAYS if options.way in (None, way.name)):
                for title, url in (("server", f"{service.url}/whip{query}"), ("Chromium", "")):
                    relays.way = way
                    arguments = [relays.url, options.codec, url, options.settle, options.seconds]
                    found = page.evaluate(RUN_JS, arguments)
                    relays.clear()
                    bits = f"{found['up']:.2f}, {found['down']:.2f} ({found['target']:.2f})"
                    delay = f"{_ms(found['delay'])}, {_ms(found['late'])}"
                    cells = (
                        way.name,
                        title,
                        f"{found['fps']:.1f}",
                        delay,
                        _ms(found["gap"]),
                        bits,
                        str(found["width"]),
                    )
                    print(f"| {' | '.join(cells)} |", flush=True)
    relays.close()
    return 0


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    sys.exit(main())
