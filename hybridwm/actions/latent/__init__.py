"""One space of actions for every body: codes read off pairs of frames, and the maps of bodies and words to them."""
