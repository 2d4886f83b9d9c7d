"""Flags are the fields of the settings; refusals are one line in plain words."""

from __future__ import annotations

import argparse
from typing import Any
from unittest.mock import Mock

import pytest
from pydantic import BaseModel

from engines.base import EngineError
from models import catalog
from stream import camera, command_line, files, strip
from stream.command_line import CommandError, NothingEdited
from stream.look import Layer, Look
from stream.runtime import RuntimeSettings
from stream.settings import Settings, SettingsError, checked


def parsed(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command_line.add_settings(parser)
    command_line.add_runtime(parser)
    return parser.parse_args(flags)


def test_every_setting_has_a_flag() -> None:
    flags = {
        "--editor": "hair", "--faces": "locked", "--lock": "3", "--lost": "blur", "--smoothing": "0.25",
        "--quality": "full", "--label": "words", "--label-corner": "upper right", "--label-when": "always",
        "--amount": "0.5",
    }  # fmt: skip
    words = [word for pair in flags.items() for word in pair]
    arguments = parsed("--bypass", "--no-mark", "--set", "colour=red", *words)
    settings = checked(Settings, command_line.patch_of(arguments))
    assert settings == Settings(
        editor="hair", controls={"colour": "red"}, bypass=True, faces="locked", lock=3, lost="blur", smoothing=0.25,
        label="words", label_corner="upper right", label_when="always", mark=False, quality="full", amount=0.5,
    )  # fmt: skip
    named = {flag[2:].replace("-", "_") for flag in flags}
    without = {"controls", "layers", "latent_lock"}  # a lock is of a session, which a command has none of
    assert named | {"bypass", "mark"} | without == set(Settings.model_fields)
    with pytest.raises(SystemExit):
        parsed("--latent-lock", "x")


def test_a_flag_that_is_not_given_changes_nothing() -> None:
    assert command_line.patch_of(parsed()) == {"controls": {}}


@pytest.mark.parametrize("module", [files, camera, strip])
def test_the_flags_of_commands_are_those_of_the_schemas(module: Any) -> None:
    text = module._parser().format_help()
    for flag in ("--editor", "--set", "--faces", "--label", "--backend", "--precision", "--threads", "--detector-size"):
        assert flag in text
    assert ("--quality" in text) == (module is not strip)
    assert "--cache-dir" not in text


@pytest.mark.parametrize(
    ("pairs", "controls"),
    [
        (["age=75"], {"age": 75}),
        (["colour=red", "amount=0.5"], {"colour": "red", "amount": 0.5}),
        (["age=null", "on=true"], {"age": None, "on": True}),
        (["text=a=b"], {"text": "a=b"}),
    ],
)
def test_controls_are_pairs(pairs: list[str], controls: dict[str, Any]) -> None:
    assert command_line.controls_of_pairs(pairs) == controls


def test_a_control_without_a_value_is_refused() -> None:
    with pytest.raises(SettingsError, match="name=value"):
        command_line.controls_of_pairs(["age"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SettingsError("smoothing", "must be from 0 to 1", {"maximum": 1}), "smoothing: must be from 0 to 1"),
        (SettingsError("editor", "there is none such", ["a", "b"]), "editor: there is none such; there are: a, b"),
        (CommandError("x.mp4 does not exist"), "x.mp4 does not exist"),
        (EngineError("a.onnx is cut short"), "a.onnx is cut short"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise error

    assert command_line.run(command) == 1
    assert capsys.readouterr().err == f"error: {line}\n"
    assert command_line.run(lambda: None) == 0


@pytest.mark.parametrize(
    ("editor", "pairs", "controls"),
    [
        ("embedded", ["age=+20"], {"age": "+20"}),
        ("embedded", ["age=-20", "smile=-1"], {"age": "-20", "smile": -1}),
        ("hair", ["custom=#112233"], {"custom": "#112233", "colour": "custom"}),
        ("gone", ["custom=#112233"], {"custom": "#112233"}),
    ],
)
def test_what_a_control_means_is_set_along_with_it(editor: str, pairs: list[str], controls: dict[str, Any]) -> None:
    flags = [word for pair in pairs for word in ("--set", pair)]
    assert command_line.patch_of(parsed("--editor", editor, *flags))["controls"] == controls


def test_controls_of_further_editors_are_named_after_them() -> None:
    patch = command_line.patch_of(parsed("--set", "age=-20", "--set", "hair.custom=#112233", "--set", "child.genes=1"))
    assert patch == {
        "controls": {"age": "-20"},
        "layers": {
            "hair": {"controls": {"custom": "#112233", "colour": "custom"}},
            "child": {"controls": {"genes": 1}},
        },
    }


def test_an_edit_of_nothing_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise NothingEdited("no control is moved")

    assert command_line.run(command) == 3
    assert capsys.readouterr().err == "error: no control is moved\n"


@pytest.mark.parametrize(
    ("editor", "controls", "words"),
    [
        ("embedded", {}, "no control is moved; `--set age=+20` is one way"),
        ("embedded", {"bald_sides": 0}, "Hair kept at the sides changes nothing until Bald is set"),
        ("embedded", {"grey_brows": False}, "Grey brows and beard too changes nothing until Grey hair or Age is set"),
        ("child", {"age": 18}, "choose a photo of the second parent"),
    ],
)
def test_a_look_that_is_idle_says_what_helps(editor: str, controls: dict[str, Any], words: str) -> None:
    """A control that acts beside another alone went through the whole file, and ended with "changes none of them"."""
    look = Look(Settings(editor=editor), (Layer(editor, Mock(), catalog.entry(editor).controls()(**controls)),))
    assert str(NothingEdited.by(look)) == f"nothing to edit: {words}"


def test_other_errors_keep_their_traceback() -> None:
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command_line.run(command)


@pytest.mark.parametrize(
    ("model", "values", "words"),
    [
        (Settings, {"smoothing": 2}, "smoothing: must be a number from 0 to 1"),
        (Settings, {"faces": "some"}, "faces: must be one of all, largest, locked"),
        (Settings, {"lock": -1}, "lock: must be a whole number from 0 or nothing"),
        (Settings, {"mark": "yes"}, "mark: must be true or false"),
        (Settings, {"editor": 7}, "editor: must be text of at most 64 characters"),
        (Settings, {"controls": 7}, "controls: must be names and their values, at most 192"),
        (RuntimeSettings, {"detector_size": 5}, "detector_size: must be a whole number from 128 to 1280"),
        (RuntimeSettings, {"threads": 0}, "threads: must be a whole number from 1 or nothing"),
    ],
)
def test_a_refused_value_is_told_what_it_must_be(model: type[BaseModel], values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        checked(model, values)
    assert str(refused.value) == words
