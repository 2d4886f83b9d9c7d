"""Messages of the data channel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signaling import control
from signaling.channel import ControlChannel
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

    def send(self, text: str) -> None:
        self.sent.append(json.loads(text))


class Video:
    look = Look(Settings(), ())


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
