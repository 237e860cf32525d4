"""`python -m speclet_formula` goes in; the command line of `cli` runs. It leaves everything to `cli`."""

from speclet_formula.cli import main

if __name__ == "__main__":
    main()
