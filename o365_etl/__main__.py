"""`python -m o365_etl` is the command line."""

from o365_etl.cli import main

main()
