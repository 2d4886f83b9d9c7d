"""Send H264 by WHIP with libdatachannel, which OBS is built on: `test_clients.py` runs it, with a Python of its own.

    python libdatachannel_client.py URL FRAMES...

Every further argument is a layer, largest first: a file of access units, each after its length (4 bytes, big-endian).
"""

import sys
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

import libdatachannel as rtc

PAYLOAD_TYPE, FIRST_SSRC, RID_NUMBER = 96, 1000, 1
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
FRAME_S, TICKS = 1 / 30, 3000
WAIT_S = 20.0


def main() -> None:
    url, *names = sys.argv[1:]
    layers = [access_units(Path(name).read_bytes()) for name in names]
    rids = [str(number) for number in range(len(layers))] if len(layers) > 1 else []
    video = rtc.Description.Video("0", rtc.Description.Direction.SendOnly)
    video.add_h264_codec(PAYLOAD_TYPE)
    if rids:
        video.add_ext_map(rtc.Description.Media.ExtMap(RID_NUMBER, RID))
        for rid in rids:
            video.add_rid(rid)
    else:
        video.add_ssrc(FIRST_SSRC, "camera")
    connection = rtc.PeerConnection(rtc.Configuration())
    track = connection.add_track(video)
    opened, gathered = threading.Event(), threading.Event()
    track.on_open(opened.set)
    connection.on_gathering_state_change(
        lambda state: gathered.set() if state == rtc.PeerConnection.GatheringState.Complete else None
    )
    connection.set_local_description()
    assert gathered.wait(WAIT_S)
    offer = str(connection.local_description())
    request = urllib.request.Request(url, offer.encode(), {"Content-Type": "application/sdp"})
    with urllib.request.urlopen(request) as response:
        location, answer = response.headers["Location"], response.read().decode()
    connection.set_remote_description(rtc.Description(answer, "answer"))
    assert opened.wait(WAIT_S)
    packetizers = [packetizer(number, rids) for number in range(len(layers))]
    for frames in zip(*layers, strict=True):
        for made, frame in zip(packetizers, frames, strict=True):
            track.set_media_handler(made)
            track.send(frame)
            made.rtp_config.timestamp = (made.rtp_config.timestamp + TICKS) % (1 << 32)
        time.sleep(FRAME_S)
    urllib.request.urlopen(urllib.request.Request(urljoin(url, location), method="DELETE")).close()
    connection.close()


def packetizer(number: int, rids: list[str]) -> rtc.H264RtpPacketizer:
    config = rtc.RtpPacketizationConfig(FIRST_SSRC + number, "camera", PAYLOAD_TYPE, 90_000)
    if rids:
        config.rid, config.rid_id = rids[number], RID_NUMBER
    return rtc.H264RtpPacketizer(rtc.NalUnit.Separator.StartSequence, config)


def access_units(data: bytes) -> list[bytes]:
    units = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        units.append(data[4:end])
        data = data[end:]
    return units


main()
