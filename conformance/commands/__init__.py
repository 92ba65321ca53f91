"""One file a subcommand: it exports `command`, and `can_i.py` is called `can-i`.

At module level these files import click, the standard library and `conformance.errors` or `conformance.config` only,
so that `--help` is fast; what a command needs for its work it imports when it works.
"""
