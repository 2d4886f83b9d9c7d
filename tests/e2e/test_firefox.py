"""A real Firefox: it hides its addresses until a page may use the camera, and sends VP8."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import firefox
from tests.e2e.firefox import Firefox
from tests.e2e.service import Service

pytestmark = pytest.mark.skipif(firefox.find() is None, reason=firefox.INSTALL_HINT)

CALL = """
const [url, camera] = arguments;
const pc = new RTCPeerConnection();
let stream;
if (camera) {
  stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
} else {
  const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
  const context = canvas.getContext("2d");
  setInterval(() => {
    context.fillStyle = `hsl(${performance.now() / 9 % 360} 80% 50%)`;
    context.fillRect(0, 0, 320, 240);
  }, 33);
  stream = canvas.captureStream(30);
}
pc.addTransceiver(stream.getVideoTracks()[0], { direction: "sendrecv", streams: [stream] });
await pc.setLocalDescription();
await new Promise((resolve) => {
  const check = () => pc.iceGatheringState === "complete" && resolve();
  pc.addEventListener("icegatheringstatechange", check);
  setTimeout(resolve, 5000);
  check();
});
const offer = pc.localDescription.sdp;
const began = performance.now();
const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: offer });
const answer = await response.text();
if (response.status !== 201) return { status: response.status, answer, offer };
await pc.setRemoteDescription({ type: "answer", sdp: answer });
let decoded = 0, codec = "", first = 0;
while (decoded < 30 && performance.now() - began < 60000) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (const report of (await pc.getStats()).values()) {
    if (report.type === "inbound-rtp" && report.kind === "video") decoded = report.framesDecoded ?? 0;
    if (report.type === "codec") codec = report.mimeType;
  }
  if (decoded && !first) first = performance.now() - began;
}
const etag = response.headers.get("ETag");
await fetch(response.headers.get("Location"), { method: "DELETE" });
pc.close();
return { status: 201, offer, decoded, codec, first, etag };
"""

# Sends a canvas under a name, and watches it over WHEP as another peer does.
WATCH = """
const [name] = arguments;
const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
const context = canvas.getContext("2d");
setInterval(() => {
  context.fillStyle = `hsl(${performance.now() / 9 % 360} 80% 50%)`;
  context.fillRect(0, 0, 320, 240);
}, 33);
const post = async (pc, path) => {
  await pc.setLocalDescription();
  await new Promise((resolve) => {
    const check = () => pc.iceGatheringState === "complete" && resolve();
    pc.addEventListener("icegatheringstatechange", check);
    setTimeout(resolve, 5000);
    check();
  });
  const headers = { "Content-Type": "application/sdp" };
  const response = await fetch(`${path}?stream=${name}`, { method: "POST", headers, body: pc.localDescription.sdp });
  const answer = await response.text();
  if (response.status === 201) await pc.setRemoteDescription({ type: "answer", sdp: answer });
  return { status: response.status, answer, location: response.headers.get("Location") };
};
const sender = new RTCPeerConnection(), viewer = new RTCPeerConnection();
sender.addTransceiver(canvas.captureStream(30).getVideoTracks()[0], { direction: "sendonly" });
const sent = await post(sender, "/whip");
if (sent.status !== 201) return sent;
viewer.addTransceiver("video", { direction: "recvonly" });
viewer.addTransceiver("audio", { direction: "recvonly" });
const watched = await post(viewer, "/whep");
if (watched.status !== 201) return watched;
let decoded = 0, codec = "";
const began = performance.now();
while (decoded < 20 && performance.now() - began < 60000) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (const report of (await viewer.getStats()).values()) {
    if (report.type === "inbound-rtp" && report.kind === "video") decoded = report.framesDecoded ?? 0;
    if (report.type === "codec") codec = report.mimeType;
  }
}
for (const { location } of [watched, sent]) await fetch(location, { method: "DELETE" });
sender.close();
viewer.close();
return { status: 201, decoded, codec };
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with Firefox(tmp_path_factory.mktemp("firefox")) as running:
        yield running


@pytest.mark.parametrize("camera", [False, True])
def test_firefox_gets_its_video_back(browser: Firefox, service: Service, camera: bool) -> None:
    browser.goto(service.url)
    said = browser.run(CALL, "/whip", camera)
    assert said["status"] == 201, said
    assert said["decoded"] >= 30
    assert ".local" in said["offer"], "Firefox hides its addresses"
    assert said["etag"]
    print(f"Firefox, camera {camera}: {said['codec']}, first frame after {said['first']:.0f} ms")


def test_firefox_watches_over_whep(browser: Firefox, service: Service) -> None:
    browser.goto(service.url)
    said = browser.run(WATCH, "firefox")
    assert said["status"] == 201, said
    assert said["decoded"] >= 20, said
    print(f"Firefox over WHEP: {said['codec']}, {said['decoded']} frames")


def test_the_page_goes_live(browser: Firefox, service: Service) -> None:
    browser.goto(service.url + "/?autostart=1")
    state = browser.run(
        """
        for (let i = 0; i < 600 && document.body.dataset.state !== "live"; i++) {
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        return document.body.dataset.state;
        """
    )
    assert state == "live"
