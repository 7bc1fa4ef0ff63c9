"""``python -m chares``."""

from chares.faces.cli import main

if __name__ == "__main__":
    main()
