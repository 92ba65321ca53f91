"""`kube-conformance gate`: may it pass: an upgrade, a run, or manifests? An exit code and one sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.gate import Terms
    from conformance.report.differences import Comparison

_PATH = click.Path(path_type=Path)


class _Gate(click.Group):
    """A command with two words of its own: `gate init`, `gate accept`; anything else is a run or snapshot."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hand everything but those two words to the decision itself."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["decide", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Gate)
def command() -> None:
    """Decide whether an upgrade, a run or manifests may pass.

    `gate A B` decides on what changed from A to B, `gate A` on one run or snapshot, `gate -f FILE --target DIR` on
    manifests. A and B are folders of snapshots or runs.

    \b
    Exit codes: 0 it may pass, 1 it may not

    \b
    Examples:
      kube-conformance gate before/ after/
      kube-conformance gate reports/latest --baseline accepted/ --waivers waivers.yaml
      helm template shop | kube-conformance gate -f - --target after/
      kube-conformance gate init before/ after/ --owner team@example.org --until 2027-03-31
      kube-conformance gate accept ID --reason "..." --owner team@example.org --until 2027-03-31

    See `kube-conformance gate decide --help` for every option.
    """


def terms(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what a gate decides by."""
    for option in reversed(
        (
            click.option("--waivers", type=_PATH, metavar="FILE", help="What was accepted, by whom and until when."),
            click.option(
                "--fail-on",
                type=click.Choice(["info", "low", "medium", "high", "critical"]),
                help="The least severity of a finding that fails one run. [default: high]",
            ),
            click.option("--allow-partial", is_flag=True, help="Let a run pass that could not evaluate everything."),
            click.option("-o", "--output", "form", default="table", show_default=True, metavar="FORMAT", help="How."),
            click.option("--to", "file", type=_PATH, metavar="FILE", help="Write it there instead of stdout."),
        )
    ):
        function = option(function)
    return function


@command.command("decide")
@click.argument("before", required=False, type=_PATH)
@click.argument("after", required=False, type=_PATH)
@click.option("--baseline", type=_PATH, metavar="RUN", help="The accepted state to compare a single A with.")
@click.option("--expectations", type=_PATH, metavar="FILE", help="Lines that have to hold in what is decided on.")
@click.option("-f", "--filename", "files", multiple=True, type=_PATH, metavar="FILE", help="Manifests. Repeatable.")
@click.option("--target", type=_PATH, metavar="DIR", help="A snapshot of the version that manifests are meant for.")
@click.option("-n", "--namespace", default="default", metavar="NAMESPACE", help="Of manifests that name none.")
@terms
def decide(  # each way to be asked is one line
    before: Path | None, after: Path | None, baseline: Path | None, expectations: Path | None, **options: Any
) -> int:
    """Decide, and say why in one sentence. Formats: table, json, markdown, html, sarif."""
    from conformance.errors import UsageError  # noqa: PLC0415

    if options["files"]:
        if before is not None and options["target"] is None and after is None:
            before, options["target"] = None, before
        if before or after or baseline or expectations:
            raise UsageError("-f FILE is held against one --target; A, B, --baseline and --expectations are for others")
        return _manifests(**options)
    if before is None:
        raise UsageError("say what to decide on: gate A, gate A B, or gate -f FILE --target DIR")
    if options["target"]:
        raise UsageError("--target goes with -f")
    if baseline is not None:
        if after is not None:
            raise UsageError("--baseline and a second moment are the same thing; give one")
        before, after = baseline, before
    return _moments(before, after, expectations, options)


def _moments(before: Path, after: Path | None, expectations: Path | None, options: dict[str, Any]) -> int:
    from conformance import gate, moments  # noqa: PLC0415
    from conformance.policy import expected  # noqa: PLC0415
    from conformance.report.differences import Comparison  # noqa: PLC0415

    agreed = agreed_terms(options)
    render = rendering(options["form"])
    old = moments.read(before)
    new = old if after is None else moments.read(after)
    extra = expected.failing(expectations, new) if expectations else ()
    found = gate.of_one(new, agreed, extra) if after is None else gate.of_two(old, new, agreed, extra)
    earlier = None if after is None else old.side
    show(Comparison(found, new.side, earlier, agreed.waivers.complaints()), render, options["file"])
    return 0 if found.passed else 1


def _manifests(*, files: tuple[Path, ...], target: Path | None, namespace: str, **options: Any) -> int:
    from conformance import gate, manifestgate, moments  # noqa: PLC0415
    from conformance.errors import UsageError  # noqa: PLC0415
    from conformance.report.differences import Comparison  # noqa: PLC0415

    if target is None:
        raise UsageError("say what the manifests are meant for: --target DIR, a snapshot of that version")
    agreed, render = agreed_terms(options), rendering(options["form"])
    meant = moments.read(target)
    held = manifestgate.hold(files, meant, namespace=namespace)
    found = gate.decide(held.problems, agreed)
    shown = Comparison(found, (f"{held.objects} objects", "manifests", ""), meant.side, agreed.waivers.complaints())
    show(shown, render, options["file"])
    return 0 if found.passed else 1


def agreed_terms(options: dict[str, Any]) -> Terms:
    """Read what a gate decides by: policy of the configuration, waivers, flags."""
    from conformance import config  # noqa: PLC0415
    from conformance.gate import Terms  # noqa: PLC0415
    from conformance.policy import rules, waivers  # noqa: PLC0415

    settings = config.load({"waivers": options.get("waivers"), "fail_on": options.get("fail_on")})
    entries, source, line = config.gate_rules()
    return Terms(
        rules=rules.read(entries, source, line) if entries is not None else (),
        waivers=waivers.Waivers(waivers.load(settings.waivers) if settings.waivers else ()),
        fail_on=settings.fail_on,
        allow_partial=bool(options.get("allow_partial")) or settings.allow_partial,
    )


def rendering(name: str) -> Callable[[Comparison], bytes]:
    """Give the renderer of a format."""
    from conformance.errors import UsageError  # noqa: PLC0415
    from conformance.report import differences  # noqa: PLC0415

    formats = differences.formats()
    if name not in formats:
        raise UsageError(f"there is no format {name!r}; there are {', '.join(sorted(formats))}")
    return formats[name].render


def show(comparison: Comparison, render: Callable[[Comparison], bytes], file: Path | None) -> None:
    """Write what came out; where it is no table on stdout, the sentence is said on stderr, too."""
    from conformance.report import write  # noqa: PLC0415
    from conformance.terminal import plain  # noqa: PLC0415

    content = render(comparison)
    if file is not None:
        write(file, content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    if file is not None or not content.startswith(comparison.heading.encode()):
        click.echo(plain(comparison.gate.reason), err=True)


@command.command("init")
@click.argument("before", type=_PATH)
@click.argument("after", required=False, type=_PATH)
@click.option("--owner", required=True, metavar="WHO", help="Who answers for what is accepted.")
@click.option("--until", required=True, type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The last day.")
@click.option("--reason", default="accepted when the gate was introduced", show_default=True, help="Why.")
@click.option("--waivers", "file", default="waivers.yaml", show_default=True, type=_PATH, help="The file to write.")
def init(before: Path, after: Path | None, *, owner: str, until: Any, reason: str, file: Path) -> None:
    """Write a first file of waivers: one for each thing that fails now."""
    from conformance import gate, moments  # noqa: PLC0415
    from conformance.policy import waivers  # noqa: PLC0415

    old, agreed = moments.read(before), agreed_terms({})
    found = gate.of_one(old, agreed) if after is None else gate.of_two(old, moments.read(after), agreed)
    ids = dict.fromkeys(it.id for it in found.differences or () if it.outcome == "fail")
    text = waivers.write(waivers.Waiver(it, reason, owner, until.date(), "", 0) for it in ids)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise click.UsageError(f"{file} is there already; `gate accept` adds to it") from None
    click.echo(f"{len(ids)} waivers in {file}: read them before you commit them", err=True)


@command.command("accept")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--owner", required=True, metavar="WHO", help="Who answers for it.")
@click.option("--until", required=True, type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The last day.")
@click.option("--reason", required=True, help="Why it is accepted.")
@click.option("--waivers", "file", default="waivers.yaml", show_default=True, type=_PATH, help="The file to change.")
def accept(ids: tuple[str, ...], owner: str, until: Any, reason: str, file: Path) -> None:
    """Accept what has these ids, in which a `*` stands for any text; an id that is there is renewed."""
    from conformance.policy import waivers  # noqa: PLC0415
    from conformance.report import write  # noqa: PLC0415

    known = {it.id: it for it in (waivers.load(file) if file.exists() else ())}
    known |= {it: waivers.Waiver(it, reason, owner, until.date(), "", 0) for it in ids}
    write(file, waivers.write(known.values()).encode())
    click.echo(f"{len(known)} waivers in {file}", err=True)
