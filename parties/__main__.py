"""`python -m parties` is `beaver`."""

from parties.cli import main

main()
