"""Golden files of StyleGAN, StyleGAN2, MobileStyleGAN, their encoders and SeFa."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from models.published.stylegan.checks import encoders, keras_encoder, mobilestylegan, sefa, stylegan1, stylegan2
from models.weights.golden import Comparison, Golden

CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"mobilestylegan.*": mobilestylegan.mobilestylegan,
    r"restyle.*": encoders.restyle,
    r"(psp|e4e).*": encoders.encoder,
    r"keras_.*": keras_encoder.keras_encoder,
    r"sefa.*": sefa.sefa,
    r"(genforce[_-]|interfacegan[_-])?stylegan(1|[_-]).*": stylegan1.generator,
    r"(genforce[_-])?stylegan2.*": stylegan2.generator,
}
"""By a pattern of the name of the golden file, in lower case."""
