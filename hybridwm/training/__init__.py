"""Training: episodes from the ray caster, recall by point splatting, flow matching, exact resume."""
