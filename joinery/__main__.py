"""``python -m joinery`` is the command ``joinery``."""

from joinery.cli import main

if __name__ == "__main__":
    main()
