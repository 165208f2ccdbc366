"""Very small autoencoders of diffusers with random weights, saved as their users save them."""

from pathlib import Path

import pytest
import torch


def save_autoencoder(kind: str, folder: Path, **more) -> Path:
    """Twice smaller than images, four channels, latents of about unit variance in rooms."""
    diffusers = pytest.importorskip("diffusers", reason="the extra `latent` is not installed")
    torch.manual_seed(0)
    if kind == "AutoencoderKL":
        told = dict(
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            layers_per_block=1,
            scaling_factor=3.0,
        )
    else:
        told = dict(
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
            scaling_factor=5.0,
        )
    getattr(diffusers, kind)(latent_channels=4, **{**told, **more}).save_pretrained(folder)
    return folder
