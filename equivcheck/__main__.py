"""``python -m equivcheck``, the same as the command ``equivcheck``."""

from equivcheck.cli import main

if __name__ == "__main__":
    main()
