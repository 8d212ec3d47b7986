"""`python -m torg`: the command line."""

from torg.cli import main

main()
