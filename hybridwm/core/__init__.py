"""The video core: a block-causal diffusion network that imagines the next frame."""
