"""Golden codes of the Keras encoders into StyleGAN's W+."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

from models.published.stylegan.keras_encoder import KerasEncoder, encoder_of
from models.weights.golden import Comparison, Golden
from models.weights.hdf5 import KerasFile
from models.weights.keras_graph import build_keras


def keras_encoder(golden: Golden) -> Iterator[Comparison]:
    """Codes of one face, by the network that the stored description tells."""
    yield golden.compare("w_plus", network_of(golden)(golden.image()))


def network_of(golden: Golden) -> KerasEncoder:
    """The network that the stored description tells."""
    config = json.loads(gzip.decompress(golden.stored("model_config").tobytes()))
    weights = {(key.rpartition("/")[0], key.rpartition("/")[2]): value.numpy() for key, value in golden.state().items()}
    return encoder_of(build_keras(KerasFile(config, weights)), golden.system)
