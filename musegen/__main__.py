"""`python -m musegen` is the `musegen` command."""

from musegen.cli import main

if __name__ == "__main__":
    main()
