"""Where experience comes from: simulated worlds and episodes on disk."""
