"""What an action does to the camera that carries it out."""

from .walker import ACTIONS, Walker, action_vectors

__all__ = ["ACTIONS", "Walker", "action_vectors"]
