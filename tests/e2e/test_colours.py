"""Colours of an unedited picture, measured where people see them: in the browser, before and after."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Playwright

from tests.e2e import browser as chromium
from tests.e2e.conftest import fresh_page
from tests.e2e.service import Service

COLOURS = [[190, 128, 116], [96, 60, 48], [40, 40, 40], [200, 200, 200], [60, 140, 70], [70, 90, 190]]
"""RGB: light and dark skin, greys, and what shows a wrong matrix best."""
WITHIN = 2
"""Of 255, before against after."""
CAMERA_WITHIN = 6
"""Of 255, the camera against what was drawn: Chromium shows BT.709's own transfer a little darker."""

# A camera of six stripes whose frames say what their numbers mean, sent and taken back; the colours of both.
MEASURE_JS = """
async ({ codec, matrix, colours, within }) => {
  const [W, H, N] = [640, 480, colours.length];
  const [kr, kb] = matrix === "bt709" ? [0.2126, 0.0722] : [0.299, 0.114];
  const coded = ([r, g, b]) => {
    const y = kr * r + (1 - kr - kb) * g + kb * b;
    const chroma = (colour, share) => 128 + ((colour - y) / (2 * (1 - share))) * (224 / 255);
    return [16 + (y * 219) / 255, chroma(b, kb), chroma(r, kr)];
  };
  const planes = new Uint8Array((W * H * 3) / 2);
  for (let y = 0; y < H; y += 1) for (let x = 0; x < W; x += 1) {
    const numbers = coded(colours[Math.floor((x * N) / W)]);
    planes[y * W + x] = Math.round(numbers[0]);
    const at = W * H + (y >> 1) * (W / 2) + (x >> 1);
    for (const plane of [0, 1]) planes[at + (plane * W * H) / 4] = Math.round(numbers[1 + plane]);
  }
  const camera = new MediaStreamTrackGenerator({ kind: "video" });
  const writer = camera.writable.getWriter();
  const colorSpace = { primaries: matrix, transfer: matrix, matrix, fullRange: false };
  let timestamp = 0;
  const beat = setInterval(() => {
    timestamp += 33_333;
    writer.write(new VideoFrame(planes, { format: "I420", codedWidth: W, codedHeight: H, timestamp, colorSpace }));
  }, 33);
  const show = async (track) => {
    const video = Object.assign(document.createElement("video"), { muted: true, srcObject: new MediaStream([track]) });
    await video.play();
    return video;
  };
  const pc = new RTCPeerConnection();
  const way = pc.addTransceiver(camera, { direction: "sendrecv" });
  const { codecs } = RTCRtpReceiver.getCapabilities("video");
  way.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === `video/${codec}`));
  await pc.setLocalDescription();
  while (pc.iceGatheringState !== "complete") await new Promise((resolve) => setTimeout(resolve, 50));
  const headers = { "Content-Type": "application/sdp" };
  const answer = await fetch("whip", { method: "POST", headers, body: pc.localDescription.sdp });
  await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  const [before, after] = await Promise.all([show(camera), show(way.receiver.track)]);
  const patches = (video) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: W, height: H });
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, W, H);
    return colours.map((_, i) => {
      const { data } = context.getImageData(((i + 0.5) * W) / N - 8, H / 2 - 8, 16, 16);
      return [0, 1, 2].map((c) => data.filter((_, at) => at % 4 === c).reduce((sum, value) => sum + value, 0) / 256);
    });
  };
  const frame = () => new Promise((resolve) => after.requestVideoFrameCallback(resolve));
  // The first pictures of a stream are coarse: they are given time to become those of the camera.
  const apart = () => Math.max(...patches(after).flat().map((value, i) => Math.abs(value - patches(before).flat()[i])));
  for (let frames = 0; frames < 300 && (frames < 10 || apart() > within); frames += 1) await frame();
  const reports = [...(await pc.getStats()).values()];
  const used = reports.filter(({ type }) => type === "codec").map(({ mimeType }) => mimeType);
  const found = { before: patches(before), after: patches(after), used };
  clearInterval(beat);
  pc.close();
  await fetch(answer.headers.get("Location"), { method: "DELETE" });
  return found;
}
"""


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_colours_come_back_as_they_went(playwright: Playwright, service: Service, codec: str) -> None:
    with chromium.launched(playwright, None) as browser:
        for matrix in ("smpte170m", "bt709"):
            with fresh_page(browser) as page:
                page.goto(service.url)
                asked = {"codec": codec, "matrix": matrix, "colours": COLOURS, "within": WITHIN}
                found = page.evaluate(MEASURE_JS, asked)
            before, after = np.array(found["before"]), np.array(found["after"])
            assert f"video/{codec}" in found["used"]
            assert np.abs(before - COLOURS).max() <= CAMERA_WITHIN, "the camera is shown as it is"
            assert np.abs(before - after).max() <= WITHIN, matrix
