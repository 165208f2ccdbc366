"""The video core: a block-causal diffusion transformer that imagines the next frame."""
