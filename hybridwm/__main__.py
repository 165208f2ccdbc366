"""`python -m hybridwm` is the command `hybridwm`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
