"""`python -m tests.e2e.lips`: how far sound and picture are apart for who watches, by flash and beep.

The page gets a camera and a microphone that flash and beep at the same moment, once a second, and sends them. The time
between the two is measured where they are shown: in the page, in the output view (WHEP), and, to compare, behind a
connection from the browser to itself, without a server.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import cv2
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e import browser as chromium
from tests.e2e import fake_camera
from tests.e2e.driver import go_live
from tests.e2e.service import Service

EARLIEST_MS, LATEST_MS = -45.0, 125.0
"""Sound after picture: what is not noticed (ITU-R BT.1359; sound first is worse)."""
STREAM = "lips"
WIDTH, HEIGHT = 640, 480
SECOND = 1000.0

# Gives the page its camera and microphone. The flash is a square in the lower left corner, 133 ms long.
CAMERA_JS = """
(() => {
  const portrait = new Image();
  portrait.src = "data:image/jpeg;base64,%s";
  navigator.mediaDevices.getUserMedia = async () => {
    const audio = new AudioContext({ sampleRate: 48000 });
    await audio.resume();
    const out = audio.createMediaStreamDestination();
    const tone = new OscillatorNode(audio, { frequency: 1000 });
    const gate = new GainNode(audio, { gain: 0 });
    tone.connect(gate).connect(out);
    tone.start();
    const canvas = Object.assign(document.createElement("canvas"), { width: %d, height: %d });
    const context = canvas.getContext("2d");
    let next = Math.ceil(audio.currentTime) + 1;
    const planned = [];
    const draw = () => {
      const now = audio.currentTime;
      while (next < now + 0.5) {
        gate.gain.setValueAtTime(0.5, next);
        gate.gain.setValueAtTime(0, next + 0.133);
        planned.push(next);
        next += 1;
      }
      while (planned.length && now >= planned[0] + 0.133) planned.shift();
      const flash = planned.length && now >= planned[0];
      context.drawImage(portrait, 0, 0, canvas.width, canvas.height);
      context.fillStyle = flash ? "white" : "black";
      context.fillRect(0, canvas.height - 120, 120, 120);
      context.fillStyle = `hsl(${360 * now} 50%% 50%%)`;
      context.fillRect(canvas.width - 20, 0, 20, 20);
    };
    setInterval(draw, 1000 / 30);
    draw();
    const stream = canvas.captureStream(30);
    stream.addTrack(out.stream.getAudioTracks()[0]);
    window.sourceOfAll = stream;
    return stream;
  };
  navigator.mediaDevices.enumerateDevices = async () => [];
})();
"""

# window.listen(stream): collects when it flashes and when it beeps, in ms of performance.now(), as they are shown.
LISTEN_JS = """
() => {
  const WORKLET = `registerProcessor("beeps", class extends AudioWorkletProcessor {
    constructor() { super(); this.silent = 1e9; }
    process([[channel]]) {
      if (!channel) return true;
      for (let i = 0; i < channel.length; i += 1) {
        if (Math.abs(channel[i]) < 0.1) { this.silent += 1; continue; }
        if (this.silent > 0.3 * sampleRate) this.port.postMessage((currentFrame + i) / sampleRate);
        this.silent = 0;
      }
      return true;
    }
  });`;
  window.listen = async (stream) => {
    const heard = { flashes: [], beeps: [] };
    const video = Object.assign(document.createElement("video"), { autoplay: true, playsInline: true });
    video.srcObject = stream;
    await video.play();
    const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    let dark = false;
    const look = (now, { expectedDisplayTime }) => {
      const side = video.videoHeight / 4;
      context.drawImage(video, side / 4, video.videoHeight - 0.75 * side, side / 2, side / 2, 0, 0, 1, 1);
      const bright = context.getImageData(0, 0, 1, 1).data[1] > 128;
      if (bright && dark) heard.flashes.push(expectedDisplayTime);
      dark = !bright;
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    const audio = new AudioContext();
    await audio.resume();
    await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" })));
    const beeps = new AudioWorkletNode(audio, "beeps");
    beeps.port.onmessage = ({ data }) => {
      const { contextTime, performanceTime } = audio.getOutputTimestamp();
      heard.beeps.push(performanceTime + 1000 * (data - contextTime));
    };
    audio.createMediaStreamSource(stream).connect(beeps);
    beeps.connect(new GainNode(audio, { gain: 0 })).connect(audio.destination);
    return heard;
  };
  window.loop = async (stream) => {
    const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
    from.onicecandidate = ({ candidate }) => to.addIceCandidate(candidate);
    to.onicecandidate = ({ candidate }) => from.addIceCandidate(candidate);
    const arrived = new MediaStream();
    to.ontrack = ({ track }) => arrived.addTrack(track);
    for (const track of stream.getTracks()) from.addTrack(track, stream);
    await from.setLocalDescription();
    await to.setRemoteDescription(from.localDescription);
    await to.setLocalDescription();
    await from.setRemoteDescription(to.localDescription);
    while (arrived.getTracks().length < 2) await new Promise((resolve) => setTimeout(resolve, 50));
    return arrived;
  };
}
"""


@dataclass(frozen=True)
class Heard:
    """Times of flashes and beeps in one place, ms of one clock."""

    flashes: list[float]
    beeps: list[float]

    def offsets(self) -> list[tuple[float, float]]:
        """(time of the flash, sound after picture), ms; flashes without a beep within half a second are left out."""
        pairs = []
        for flash in self.flashes:
            nearest = min(self.beeps, key=lambda beep: abs(beep - flash), default=float("inf"))
            if abs(nearest - flash) < SECOND / 2:
                pairs.append((flash, nearest - flash))
        return pairs


@dataclass(frozen=True)
class Offsets:
    """Sound after picture in one place, ms.

    Attributes:
        count: of flashes with a beep.
        drift: median of the last third less that of the first third.
    """

    count: int
    median: float
    lowest: float
    highest: float
    drift: float

    @staticmethod
    def of(heard: Heard) -> Offsets:
        values = [offset for _, offset in heard.offsets()]
        if not values:
            return Offsets(0, *[float("nan")] * 4)
        third = max(len(values) // 3, 1)
        ordered = sorted(values)
        inner = round(0.05 * (len(ordered) - 1))
        return Offsets(
            len(values),
            statistics.median(values),
            ordered[inner],
            ordered[-1 - inner],
            statistics.median(values[-third:]) - statistics.median(values[:third]),
        )


def portrait() -> str:
    """The picture of the camera, JPEG as base64."""
    picture = fake_camera.frame(WIDTH, HEIGHT, fake_camera.astronaut(), 0)
    return b64encode(cv2.imencode(".jpg", picture)[1].tobytes()).decode()


def open_pages(senders: Browser, viewers: Browser, url: str, settings: str = "") -> tuple[Page, Page]:
    """The page, which sends, and the output view, which shows what it sends.

    Args:
        senders: grants a microphone.
        viewers: another browser. A page behind another one in the same browser is drawn about once in fifteen seconds.
        url: of the server.
        settings: JSON of the stream's settings, "" for none.
    """
    sender, viewer = (browser.new_page(bypass_csp=True) for browser in (senders, viewers))
    for page in (sender, viewer):
        page.set_default_timeout(120_000)
    sender.add_init_script(CAMERA_JS % (portrait(), WIDTH, HEIGHT))
    sender.add_init_script(
        f"localStorage.setItem('latentcam', JSON.stringify({{ resolution: '{WIDTH}x{HEIGHT}', sound: true, "
        f"output: '{STREAM}'{', settings: ' + settings if settings else ''} }}))"
    )
    go_live(sender, url)
    viewer.goto(f"{url}/?view=output&stream={STREAM}")
    viewer.wait_for_function("() => document.getElementById('edited').srcObject?.getTracks().length === 2")
    viewer.wait_for_function("() => document.getElementById('edited').videoWidth > 0")
    return sender, viewer


def begin(page: Page, stream: str, name: str) -> None:
    """Begin to listen to a stream of a page, given as a JavaScript expression."""
    page.evaluate(LISTEN_JS)
    page.evaluate(f"async () => {{ window.heard_{name} = await window.listen({stream}); }}")


def heard(page: Page, name: str) -> Heard:
    """What was heard and seen so far."""
    found = page.evaluate(f"() => window.heard_{name}")
    return Heard(found["flashes"], found["beeps"])


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--age", type=float, help="an edit: the age that is shown")
    parser.add_argument("--settle", type=float, default=15.0, help="seconds that are left out first")
    parser.add_argument("--no-reference", action="store_true", help="without the connection from browser to itself")
    options = parser.parse_args()
    expect.set_options(timeout=120_000)
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(log=Path(folder) / "log.txt") as service,
        sync_playwright() as playwright,
        chromium.launched(playwright, None, sound=True) as senders,
        chromium.launched(playwright, None, sound=True) as viewers,
    ):
        settings = json.dumps({"controls": {"age": options.age}}) if options.age is not None else ""
        sender, viewer = open_pages(senders, viewers, service.url, settings)
        sender.wait_for_timeout(1000 * options.settle)
        begin(sender, "document.getElementById('edited').srcObject", "page")
        begin(viewer, "document.getElementById('edited').srcObject", "whep")
        if not options.no_reference:
            sender.evaluate(LISTEN_JS)
            sender.evaluate("async () => { window.looped = await window.loop(window.sourceOfAll); }")
            begin(sender, "window.looped", "reference")
            begin(sender, "window.sourceOfAll", "source")
        sender.wait_for_timeout(1000 * options.settle)
        for page in (sender, viewer):
            page.evaluate(
                "() => { for (const name of Object.keys(window)) if (name.startsWith('heard_'))"
                " { window[name].flashes.length = 0; window[name].beeps.length = 0; } }"
            )
        sender.wait_for_timeout(1000 * options.seconds)
        places = [("in the page", sender, "page"), ("output view (WHEP)", viewer, "whep")]
        if not options.no_reference:
            places += [("Chromium to Chromium", sender, "reference"), ("at the source", sender, "source")]
        print("| place | flashes | sound after picture, median, ms | 5 %, 95 % | drift |\n|---|---|---|---|---|")
        for title, page, name in places:
            found = Offsets.of(heard(page, name))
            print(
                f"| {title} | {found.count} | {found.median:.0f} | {found.lowest:.0f}, {found.highest:.0f} | "
                f"{found.drift:+.0f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
