"""What a user can set for one stream, and how a change is checked before it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.ages import is_difference

S = TypeVar("S", bound=BaseModel)

WANTED_VALUE = "is not a finite number, text, true, false or null"
WANTED_LAYER = "must have controls, names and their values, and an amount from 0 to 1"


class SettingsError(ValueError):
    """A setting was refused; the old one stays.

    Attributes:
        field: dotted name of the refused setting, such as "controls.age".
        reason: what is wrong, in words for a user.
        allowed: the allowed range or choices, as JSON-ready data; None when there is nothing to list.
    """

    def __init__(self, field: str, reason: str, allowed: Any = None) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.allowed = allowed


@dataclass(frozen=True)
class Choice:
    """One value of a setting, as a user reads it.

    Attributes:
        value: what is sent.
        title: label of its button.
        help: what it does, in one sentence; empty when the title says it.
    """

    value: str
    title: str
    help: str = ""


def _choices(*choices: Choice) -> dict[str, Any]:
    """JSON schema that names the values of an enumeration: `oneOf` constants with title and description."""
    return {"oneOf": [{"const": one.value, "title": one.title, "description": one.help} for one in choices]}


MOST_CONTROLS = 192
"""Of one editor: a generator with many fitted boundaries has two for each."""

Values = dict[str, bool | int | float | str | None]
"""Controls of an editor by name."""


class LayerSettings(BaseModel):
    """Another editor whose edit is shown together with that of `Settings.editor`.

    Attributes:
        controls: what its sliders are set to; what is missing is at its default.
        amount: how much of its edit shows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    controls: Values = Field(default_factory=dict, max_length=MOST_CONTROLS)
    amount: float = Field(1.0, ge=0, le=1)


MOST_LAYERS = 6
"""Editors besides the chosen one: each costs a stream about as much as another stream."""


class Settings(BaseModel):
    """Settings of one stream. Immutable: a change makes a new one.

    Its JSON schema is part of `/capabilities`: the page takes defaults, bounds and words from it.

    Attributes:
        editor: name of an editor in the catalog.
        controls: what the editor's sliders are set to; what is missing is at its default.
        amount: how much of its edit shows.
        layers: further editors by name, whose edits are shown together with it. The order in which they are drawn is
            that of `models.entry.Entry.place`, whichever is chosen.
        bypass: show the camera as it is (to compare; tracking stops as well).
        faces: edit every face, the largest one, or only the one locked on.
        lock: id of the face locked on when `faces` is "locked"; None locks onto the largest face there is.
        latent_lock: id of an inverted snapshot (`stream.locks`) that latent editors move instead of what their encoder
            reads; "" for none.
        lost: when an edited face is lost: show the camera, hold the last edited face, or blur the picture. "blur" also
            covers the time before the first face is found, so that no unedited face is ever shown.
        smoothing: 0 (none) to 1 (strong); how much the crop and the latent are steadied over time.
        mark: write an invisible mark into edited faces, from which `python -m stream.mark detect` reads that they are
            edited.
        label: draw a visible sign that the picture is edited: "badge" the letters AI, "words" AI modified.
        label_corner: where it stands.
        label_when: "intervals" shows it for the first 5 s and then for 5 s of every 60; "always" all the time.
        quality: "auto" leaves out work that the machine has no time for (`stream.load`), in live streams only;
            "full" never does, and drops frames instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    editor: str = Field("embedded", max_length=64, title="Editor", description="What changes the faces.")
    controls: Values = Field(
        default_factory=dict,
        max_length=MOST_CONTROLS,
        title="Look",
        description="What the editor's controls are set to.",
    )
    amount: float = Field(
        1.0,
        ge=0,
        le=1,
        title="Strength",
        description="How much of this editor's edit shows.",
        json_schema_extra={"step": 0.05},
    )
    layers: dict[str, LayerSettings] = Field(
        default_factory=dict,
        max_length=MOST_LAYERS,
        title="Together with",
        description="Further editors whose edits are shown as well.",
    )
    bypass: bool = Field(False, title="Bypass", description="Show the camera as it is.")
    faces: Literal["all", "largest", "locked"] = Field(
        "all",
        title="Whom to edit",
        json_schema_extra=_choices(
            Choice("all", "Everyone"),
            Choice("largest", "Largest"),
            Choice("locked", "One person", "Press a face in the picture. Everyone else stays as they are."),
        ),
    )
    lock: int | None = Field(None, ge=0, title="Locked face", description="Id of the one person who is edited.")
    latent_lock: str = Field(
        "", pattern="^[0-9a-f]{0,32}$", title="Locked latent", description="Snapshot that latent editors move."
    )
    lost: Literal["show", "hold", "blur"] = Field(
        "show",
        title="When a face is lost",
        json_schema_extra=_choices(
            Choice("show", "Show camera", "The camera is shown as it is until the face is back."),
            Choice("hold", "Hold edit", "The last edit stays for a moment."),
            Choice(
                "blur",
                "Blur",
                "The picture is blurred whenever there is no edited face, from the first frame on. "
                "Nobody sees you unedited.",
            ),
        ),
    )
    smoothing: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Smoothing",
        description="More is calmer, less follows quick moves sooner.",
        json_schema_extra={"step": 0.05},
    )
    mark: bool = Field(
        True,
        title="Mark in the picture",
        description="Edited faces carry an invisible mark, so that anyone can find out that they are edited.",
    )
    label: Literal["off", "badge", "words"] = Field(
        "off",
        title="Label",
        description="A sign in edited pictures that everybody sees.",
        json_schema_extra=_choices(
            Choice("off", "Off"),
            Choice("badge", "AI"),
            Choice("words", "AI modified"),
        ),
    )
    label_corner: Literal["lower left", "lower right", "upper left", "upper right"] = Field(
        "lower left", title="Corner of the label", description="Where the label stands."
    )
    label_when: Literal["intervals", "always"] = Field(
        "intervals",
        title="Label shown",
        json_schema_extra=_choices(
            Choice("intervals", "At intervals", "For the first 5 seconds, and then for 5 seconds of every minute."),
            Choice("always", "Always"),
        ),
    )
    quality: Literal["auto", "full"] = Field(
        "auto",
        title="Quality",
        description="Auto edits less often when the server cannot keep up; full drops frames instead.",
    )


LABELS = ("off", "badge", "words")
"""Labels, from the one that says nothing to the one that says most."""


def settings_schema(require_label: str = "off") -> dict[str, Any]:
    """JSON schema of `Settings` where every edited picture has at least this label: what says less is left out."""
    schema = Settings.model_json_schema()
    allowed = allowed_labels(require_label)
    label = schema["properties"]["label"]
    label["enum"] = list(allowed)
    label["oneOf"] = [choice for choice in label["oneOf"] if choice["const"] in allowed]
    label["default"] = allowed[0]
    return schema


def allowed_labels(required: str) -> tuple[str, ...]:
    """The labels that say at least as much as the required one."""
    return LABELS[LABELS.index(required) :]


def checked(model: type[S], values: Mapping[str, Any], prefix: str = "") -> S:
    """Validate `values` against a pydantic model.

    Args:
        model: the model, such as an editor's `Controls`.
        values: field names and values, from a stranger.
        prefix: put before the field's name in the error, such as "controls.".

    Raises:
        SettingsError: the first thing wrong, with the allowed range or choices taken from the model's JSON schema.
    """
    _refuse_differences(model, values, prefix)
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        properties = model.model_json_schema().get("properties", {})
        if name not in properties:
            raise SettingsError(prefix + name, "there is no such setting", sorted(properties)) from None
        if len(first["loc"]) > 1 and properties[name].get("type") == "object":
            # A value may be of several types, of which pydantic names the first.
            wanted = WANTED_LAYER if "$ref" in properties[name].get("additionalProperties", {}) else WANTED_VALUE
            raise SettingsError(f"{prefix}{name}.{first['loc'][1]}", wanted) from None
        raise SettingsError(prefix + name, requirement(properties[name]), allowed_of(properties[name])) from None


def _refuse_differences(model: type[BaseModel], values: Mapping[str, Any], prefix: str) -> None:
    """Refuse "+20" for years that take no difference: it would count as 20."""
    given = [name for name, value in values.items() if is_difference(value)]
    properties = model.model_json_schema().get("properties", {}) if given else {}
    for name in given:
        schema = properties.get(name, {})
        takes = any(shape.get("format") == "difference" for shape in schema.get("anyOf", ()))
        if schema.get("unit") == "years" and not takes:
            reason = f"{requirement(schema)}: it takes no difference such as {values[name]}"
            raise SettingsError(prefix + name, reason, allowed_of(schema))


def requirement(schema: Mapping[str, Any]) -> str:
    """What a value must be, such as "must be a number from 0 to 1", from the JSON schema of its field."""
    shapes = schema.get("anyOf", [schema])
    shared = {"examples": schema["examples"]} if "examples" in schema else {}
    return "must be " + " or ".join(dict.fromkeys(_noun({**shape, **shared}) for shape in shapes))


def _noun(shape: Mapping[str, Any]) -> str:
    values = shape.get("enum") or ([shape["const"]] if "const" in shape else [])
    if values:
        return f"one of {', '.join(map(str, values))}" if len(values) > 1 else str(values[0])
    kind = shape.get("type")
    if kind in ("number", "integer"):
        ends = (
            ("from", shape.get("minimum")),
            ("above", shape.get("exclusiveMinimum")),
            ("to", shape.get("maximum")),
        )
        bounds = [f"{word} {value:g}" for word, value in ends if value is not None]
        return " ".join(["a whole number" if kind == "integer" else "a number", *bounds])
    if kind == "string":
        return _text_noun(shape)
    if kind == "object":
        return f"names and their values, at most {shape['maxProperties']}" if "maxProperties" in shape else "an object"
    return {"boolean": "true or false", "null": "nothing", "array": "a list"}.get(str(kind), "another value")


def _text_noun(shape: Mapping[str, Any]) -> str:
    if shape.get("format") == "color":
        return "a colour such as #7a4b2c"
    if shape.get("format") == "difference":
        return "a difference such as +20"
    if "examples" in shape:
        return f"text such as {shape['examples'][0]}"
    if "pattern" in shape:
        return f"text of the form {shape['pattern']}"
    return f"text of at most {shape['maxLength']} characters" if "maxLength" in shape else "text"


def allowed_of(schema: Mapping[str, Any]) -> Any:
    """The part of a field's JSON schema that tells a user what is allowed: type, range, choices."""
    keys = ("type", "minimum", "maximum", "enum", "const", "format", "pattern", "maxLength", "anyOf")
    return {key: schema[key] for key in keys if key in schema}
