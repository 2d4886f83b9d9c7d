"""Messages of the data channel: read or refused in words that are JSON."""

from __future__ import annotations

from signaling import control
from stream.settings import Settings, SettingsError, checked


def seeds() -> list[bytes]:
    """One message of each type."""
    return [
        b'{"v":1,"type":"settings","id":7,"settings":{"bypass":true,"controls":{"age":75,"smile":0.5,"photo":"x"}}}',
        b'{"v":1,"type":"settings","settings":{"editor":"embedded","faces":"largest","lost":"blur","smoothing":0.5}}',
        b'{"v":1,"type":"ping","id":1,"t":1.5}',
        b'{"v":1,"type":"stats","every":0.5}',
        b'{"v":1,"type":"overlay","every":0.2}',
    ]


def target(data: bytes) -> None:
    """Read a message, and the settings in it.

    Raises:
        AssertionError: a message of another version is taken.
        Exception: anything but a refusal.
    """
    try:
        message = control.parse(data.decode(errors="replace"))
    except control.ControlError as error:
        control.Refused(id=error.id, code=error.code, reason=str(error)).model_dump_json()
        return
    assert type(message.v) is int
    assert message.v == control.VERSION
    if isinstance(message, control.ChangeSettings):
        try:
            checked(Settings, message.settings)
        except SettingsError as error:
            control.Refused(
                code="bad_setting", field=error.field, reason=error.reason, allowed=error.allowed
            ).model_dump_json()
