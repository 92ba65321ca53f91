"""The command `kube-conformance`: finds the subcommands, and turns every way to end into its exit code.

What a subcommand returns is its exit code (none means 0). The codes are explained in docs/exit-codes-and-files.md.
"""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
import tempfile
import traceback
from itertools import takewhile
from typing import TYPE_CHECKING, NoReturn

import click

from conformance import __version__, commands
from conformance.errors import ConformanceError
from conformance.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 2
INTERNAL = 3
USAGE = 4

_HELP = """\
Ask a real Kubernetes API server what it does and whom it lets do it.

Every group, version, resource, subresource and verb that the server serves is asked as every identity, and each
answer is held against two independent opinions: the server's own access review, and the RBAC rules themselves.

\b
One matrix, three jobs:
  see      what every identity can really do, and whether the API server keeps its promises
  gate     fail a pipeline when the next version breaks an API in use, a schema or a permission
  review   who can do what, why, and what is dangerous, with the evidence

\b
To begin:
  kube-conformance doctor                             what this machine still needs
  kube-conformance audit                              a disposable control plane, the whole matrix
  kube-conformance audit --cluster kubeconfig --context NAME --plan
                                                      what would be sent to a cluster of yours; sends no probe

\b
Exit codes: 0 nothing failed, 1 something failed or the run is partial, 2 interrupted, 3 a fault of this program,
4 wrong usage, 5 the cluster could not be reached or started.
"""


class Subcommands(click.Group):
    """The files of `conformance/commands`, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names of the files, as commands are spelled."""
        del ctx
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the file of that name; its attribute `command` is the command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        command.name = cmd_name
        return command


@click.group(cls=Subcommands, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kube-conformance", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error instead of writing it to a file.")
def group(*, debug: bool) -> None:
    """The command line as click sees it; what users read is `_HELP`."""
    del debug  # read by run(), because it must hold for errors while parsing too


def run(arguments: Sequence[str]) -> int:
    """Run the command line and give the exit code; never raises but for SystemExit."""
    try:
        result = group.main(list(arguments), prog_name="kube-conformance", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as problem:
        problem.show()
        return USAGE
    except ConformanceError as problem:
        click.echo(f"error: {plain(str(problem))}", err=True)
        return problem.exit_code
    except Exception as problem:  # noqa: BLE001  # the last line of defence: whatever comes here is our fault
        _own_up(problem, debug="--debug" in takewhile(lambda argument: argument != "--", arguments))
        return INTERNAL
    return result if isinstance(result, int) else 0


def _own_up(problem: Exception, *, debug: bool) -> None:
    """Say that this is our fault and where the details are."""
    text = "".join(traceback.format_exception(problem))
    click.echo(f"internal error: {type(problem).__name__}: {plain(str(problem))}", err=True)
    if debug:
        click.echo(text, err=True)
        return
    with tempfile.NamedTemporaryFile(
        "w", prefix="kube-conformance-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"kube-conformance {__version__}, Python {sys.version}\n{text}")
    click.echo(
        f"This is a fault of kube-conformance {__version__}, not of your cluster. Please report it to the project with"
        f" the command line and this file: {file.name}\n(--debug before the subcommand shows the traceback instead.)",
        err=True,
    )


def main() -> NoReturn:
    """Run the process's own command line."""
    # What ends a CI job is SIGTERM: it has to clean up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))
