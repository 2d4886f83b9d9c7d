import pytest

from models.editor import Controls
from stream.settings import Settings, SettingsError, checked
from tests.stream.conftest import TintControls


@pytest.mark.parametrize(
    ("model", "values", "field", "allowed"),
    [
        (Settings, {"smoothing": 2}, "smoothing", {"minimum": 0, "maximum": 1}),
        (Settings, {"smoothing": "0.5"}, "smoothing", {"minimum": 0, "maximum": 1}),
        (Settings, {"smoothing": float("nan")}, "smoothing", {"minimum": 0, "maximum": 1}),
        (Settings, {"bypass": 1}, "bypass", {"type": "boolean"}),
        (Settings, {"lost": "explode"}, "lost", {"enum": ["show", "hold", "blur"]}),
        (Settings, {"editor": "x" * 65}, "editor", {"maxLength": 64}),
        (TintControls, {"amount": -0.1}, "amount", {"minimum": 0.0, "maximum": 1.0}),
    ],
)
def test_a_refusal_names_the_field_and_what_is_allowed(
    model: type[Settings] | type[Controls], values: dict[str, object], field: str, allowed: dict[str, object]
) -> None:
    with pytest.raises(SettingsError) as refused:
        checked(model, values)
    assert refused.value.field == field
    assert allowed.items() <= refused.value.allowed.items()
    assert refused.value.reason


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1], {"a": 1}])
def test_a_refused_control_is_named(value: object) -> None:
    with pytest.raises(SettingsError, match=r"controls\.age: is not a finite number") as refused:
        checked(Settings, {"controls": {"smile": 1.0, "age": value}})
    assert refused.value.field == "controls.age"


def test_an_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError) as refused:
        checked(TintControls, {"amuont": 1}, "controls.")
    assert refused.value.field == "controls.amuont"
    assert refused.value.allowed == ["amount"]


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().bypass = True  # type: ignore[misc]


def test_the_schema_names_every_setting_and_every_choice() -> None:
    """The page draws from it: a choice without a name, or a name without a choice, would be seen by users."""
    for name, schema in Settings.model_json_schema()["properties"].items():
        assert schema["title"], name
        assert "default" in schema or name in ("controls", "layers")
        if "oneOf" in schema:
            assert [choice["const"] for choice in schema["oneOf"]] == schema["enum"]
            assert all(choice["title"] for choice in schema["oneOf"])
