"""Training of the small networks that depth is measured with; the networks themselves are recon.networks."""
