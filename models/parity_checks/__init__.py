"""Which check belongs to which golden file.

A check is a function `(golden: models.weights.golden.Golden) -> Iterator[models.weights.golden.Comparison]`: it builds
the network from `golden.state()`, in the sizes that the shapes have, runs it on `golden.input(...)` and yields one
comparison per stored array. What it compares follows the names of the arrays, so that other labels, ages, rounds and
sizes need no new check.
"""

from __future__ import annotations

import re

CHECKS: dict[str, str] = {
    r"alae.*": "alae:alae",
    r"formulas.*": "formulas:formulas",
    r"fran.*": "fran:unet",
    r"hairmapper.*": "hairmapper:hairmapper",
    r"lats.*": "lats:generator",
    r"mobilestylegan.*": "mobilestylegan:mobilestylegan",
    r"pix2pix.*": "pix2pix:unet",
    r"restyle.*": "encoders:restyle",
    r"(psp|e4e).*": "encoders:encoder",
    r"sam": "sam:sam",
    r"sam[_-].*": "sam:sam",
    r"sefa.*": "sefa:sefa",
    r"star_?gan[_-]?v2.*": "starganv2:starganv2",
    r"(stargan|facestyle).*_d([_-].*)?": "stargan:discriminator",
    r"(stargan|facestyle).*": "stargan:generator",
    r"styleflow.*": "styleflow:styleflow",
    r"(genforce[_-]|interfacegan[_-])?stylegan(1|[_-]).*": "stylegan1:generator",
    r"(genforce[_-])?stylegan2.*": "stylegan2:generator",
}
"""File name without .npz, as a pattern in lower case, -> "module in this package:function". The first one counts."""


def check_of(system: str) -> str | None:
    """The check for a golden file of this name, None where there is none."""
    return next((target for pattern, target in CHECKS.items() if re.fullmatch(pattern, system.lower())), None)
