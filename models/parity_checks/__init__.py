"""Which check belongs to which golden file.

A check is a function `(golden: models.golden.Golden) -> Iterator[models.golden.Comparison]`: it builds the network from
`golden.state()`, runs it on `golden.input(...)` and yields one comparison per stored array.
"""

from __future__ import annotations

CHECKS: dict[str, str] = {
    "alae_celeba128": "alae:celeba128",
    "alae_ffhq_encoder": "alae:ffhq_encoder",
    "e4e_encoder": "encoders:e4e_encoder",
    "facestyle_hair_G_c9": "stargan:facestyle_hair",
    "formulas": "formulas:formulas",
    "fran_unet": "fran:unet",
    "hairmapper": "hairmapper:hairmapper",
    "lats_generator": "lats:generator",
    "mobilestylegan": "mobilestylegan:mobilestylegan",
    "pix2pix_unet256_bn": "pix2pix:unet256_bn",
    "psp_encoder": "encoders:psp_encoder",
    "restyle_e4e": "encoders:restyle_e4e",
    "restyle_psp": "encoders:restyle_psp",
    "sam": "sam:sam",
    "sefa": "sefa:sefa",
    "stargan_D_c5": "stargan:d_c5",
    "stargan_G_c5": "stargan:g_c5",
    "stargan_rafd_G_c8": "stargan:rafd_g_c8",
    "starganv2": "starganv2:starganv2",
    "styleflow_modellarge": "styleflow:modellarge",
    "stylegan1_1024": "stylegan1:generator_1024",
    "stylegan2_1024": "stylegan2:generator",
    "stylegan2_256": "stylegan2:generator",
}
"""File name without .npz -> "module in this package:function"."""
