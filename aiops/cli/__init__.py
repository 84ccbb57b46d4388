"""The command line: one command a file.

Each command module offers `add_parser(subparsers)`, which adds its arguments, and `run(args)`,
which does the work and returns an exit code. `main.py` joins them and turns errors into messages.
"""
