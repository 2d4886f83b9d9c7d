"""Messages of the data channel."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from signaling import control
from signaling.channel import MOST_CHANGES, ControlChannel
from stream.look import Look
from stream.settings import Settings


def test_messages_are_read() -> None:
    change = control.parse('{"v":1,"type":"settings","id":7,"settings":{"bypass":true}}')
    assert isinstance(change, control.ChangeSettings)
    assert (change.id, change.settings) == (7, {"bypass": True})
    ping = control.parse('{"v":1,"type":"ping","t":1.5}')
    assert isinstance(ping, control.Ping)
    assert (ping.id, ping.t) == (None, 1.5)


@pytest.mark.parametrize(("every", "interval"), [(0, None), (0.05, 0.2), (1, 1), (10, 10)])
def test_stats_have_sane_intervals(every: float, interval: float | None) -> None:
    wanted = control.parse(json.dumps({"v": 1, "type": "stats", "every": every}))
    assert isinstance(wanted, control.WantStats)
    assert wanted.interval == interval


@pytest.mark.parametrize(("every", "interval"), [(0, None), (0.01, 0.1), (0.25, 0.25)])
def test_overlays_come_ten_times_a_second_at_most(every: float, interval: float | None) -> None:
    wanted = control.parse(json.dumps({"v": 1, "type": "overlay", "every": every}))
    assert isinstance(wanted, control.WantOverlay)
    assert wanted.interval == interval


@pytest.mark.parametrize(
    ("text", "code", "id", "said"),
    [
        ("", "bad_message", None, "JSON"),
        ("nonsense", "bad_message", None, "JSON"),
        ("[]", "bad_message", None, ""),
        ("[" * 5000, "bad_message", None, ""),
        ("{}", "bad_message", None, "type"),
        ('{"v":1,"type":"dance","id":3}', "bad_message", 3, "type"),
        ('{"v":2,"type":"ping","id":3,"t":1}', "bad_message", 3, "ping.v"),
        ('{"v":true,"type":"ping","id":3,"t":1}', "bad_message", 3, "ping.v"),
        ('{"v":1.0,"type":"ping","id":3,"t":1}', "bad_message", 3, "ping.v"),
        ('{"v":"1","type":"ping","id":3,"t":1}', "bad_message", 3, "ping.v"),
        ('{"v":1,"type":"ping","id":true,"t":1}', "bad_message", None, "ping.id"),
        ('{"v":1,"type":"ping","id":3,"t":true}', "bad_message", 3, "ping.t"),
        ('{"type":"ping","id":3,"t":1}', "bad_message", 3, "ping.v"),
        ('{"v":1,"type":"ping","id":-3,"t":1}', "bad_message", None, "ping.id"),
        ('{"v":1,"type":"ping","id":"3","t":1}', "bad_message", None, "ping.id"),
        ('{"v":1,"type":"ping","id":3,"t":NaN}', "bad_message", 3, "ping.t"),
        ('{"v":1,"type":"ping","id":3,"t":1,"more":1}', "bad_message", 3, "more"),
        ('{"v":1,"type":"stats","every":11}', "bad_message", None, "every"),
        ('{"v":1,"type":"overlay","every":-1}', "bad_message", None, "every"),
        ('{"v":1,"type":"overlay"}', "bad_message", None, "overlay.every"),
        ('{"v":1,"type":"settings","settings":[]}', "bad_message", None, "settings"),
        (
            json.dumps({"v": 1, "type": "settings", "settings": dict.fromkeys(map(str, range(65)))}),
            "bad_message",
            None,
            "",
        ),
        (" " * 16_385, "too_large", None, "16384"),
        (b"{}", "bad_message", None, "binary"),
    ],
)
def test_junk_is_refused_in_words(text: str | bytes, code: str, id: int | None, said: str) -> None:
    with pytest.raises(control.ControlError) as caught:
        control.parse(text)
    assert (caught.value.code, caught.value.id) == (code, id)
    assert said in str(caught.value)


class Channel:
    """A data channel's near end."""

    readyState = "open"
    bufferedAmount = 0

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def on(self, event: str, receive: Any) -> None:
        self.receive = receive

    def remove_all_listeners(self, event: str) -> None:
        del self.receive

    def send(self, text: str) -> None:
        self.sent.append(json.loads(text))


class Video:
    def __init__(self) -> None:
        self.look = Look(Settings(), ())
        self.turn = asyncio.Lock()


class Runtime:
    def look(self, settings: Settings, patch: dict[str, Any], session: str = "") -> Look:
        return Look(settings.model_copy(update=patch), ())


def test_a_flood_is_answered_now_and_then_and_passes() -> None:
    now = [0.0]
    channel = Channel()
    ControlChannel(channel, Runtime(), Video(), clock=lambda: now[0])  # type: ignore[arg-type]
    for i in range(1000):
        channel.receive(f'{{"v":1,"type":"ping","id":{i},"t":0}}')
    kinds = [message["type"] for message in channel.sent]
    assert kinds == ["pong"] * int(control.MESSAGE_BURST) + ["error"]
    assert channel.sent[-1]["code"] == "too_many"
    now[0] = 1.0
    channel.receive('{"v":1,"type":"ping","id":1,"t":0}')
    assert channel.sent[-1]["type"] == "pong"


def test_a_peer_that_does_not_read_gets_nothing_more() -> None:
    channel = Channel()
    control_channel = ControlChannel(channel, Runtime(), Video())  # type: ignore[arg-type]
    channel.bufferedAmount = 10**6
    channel.receive('{"v":1,"type":"ping","id":1,"t":0}')
    channel.bufferedAmount, channel.readyState = 0, "closing"
    control_channel.send(control.Bye(reason="idle"))
    assert channel.sent == []


def test_stats_come_as_often_as_wanted() -> None:
    now = [0.0]
    channel = Channel()
    control_channel = ControlChannel(channel, Runtime(), Video(), clock=lambda: now[0])  # type: ignore[arg-type]
    assert not control_channel.stats_due()
    channel.receive('{"v":1,"type":"stats","every":0.5}')
    due = []
    for tick in range(1, 21):
        now[0] = tick / 10
        due.append(control_channel.stats_due())
    assert sum(due) == 4
    channel.receive('{"v":1,"type":"stats","every":0}')
    now[0] = 10
    assert not control_channel.stats_due()


class Slow(Runtime):
    """Takes long for changes of `smoothing`, as for an editor that has to be loaded."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun, self.go = threading.Event(), threading.Event()

    def look(self, settings: Settings, patch: dict[str, Any], session: str = "") -> Look:
        self.asked += 1
        if "smoothing" in patch:
            self.begun.set()
            assert self.go.wait(60)
        return super().look(settings, patch, session)


@pytest.mark.anyio
async def test_two_who_change_one_filter_lose_nothing() -> None:
    video, runtime, near, far = Video(), Slow(), Channel(), Channel()
    first, second = (ControlChannel(channel, runtime, video) for channel in (near, far))  # type: ignore[arg-type]
    near.receive('{"v":1,"type":"settings","id":1,"settings":{"smoothing":0.1}}')
    assert await asyncio.to_thread(runtime.begun.wait, 60)
    far.receive('{"v":1,"type":"settings","id":2,"settings":{"bypass":true}}')
    for _ in range(10):
        await asyncio.sleep(0.01)
    runtime.go.set()
    await asyncio.gather(*first._changes, *second._changes)
    assert (video.look.settings.smoothing, video.look.settings.bypass) == (0.1, True)


@pytest.mark.anyio
async def test_changes_that_wait_are_bounded_and_end_with_the_channel() -> None:
    now, channel, runtime, refused = [0.0], Channel(), Slow(), list[int]()
    control_channel = ControlChannel(
        channel,
        runtime,  # type: ignore[arg-type]
        Video(),  # type: ignore[arg-type]
        clock=lambda: now[0],
        refused=lambda: refused.append(1),
    )
    for number in range(100):
        now[0] += 1.0
        channel.receive(f'{{"v":1,"type":"settings","id":{number},"settings":{{"smoothing":0.1}}}}')
    assert len(control_channel._changes) == MOST_CHANGES
    assert len(refused) == 100 - MOST_CHANGES
    assert (channel.sent[-1]["id"], channel.sent[-1]["code"]) == (99, "too_many")
    assert await asyncio.to_thread(runtime.begun.wait, 60)
    changes = list(control_channel._changes)
    control_channel.close()
    runtime.go.set()
    await asyncio.gather(*changes, return_exceptions=True)
    assert runtime.asked == 1, "the one at work; nobody waits for the others"
