"""Training of the latent action model, of the bodies' maps to it, and of the words."""
