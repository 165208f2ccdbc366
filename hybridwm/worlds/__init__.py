"""Where experience comes from: simulated worlds and episodes on disk."""

from .restrict import restrict
from .task import give_task

__all__ = ["give_task", "restrict"]
