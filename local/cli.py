"""The one entry: `recommender COMMAND`, with sub-commands that are imported only when they are called.

click, because its groups load lazily and it suggests the nearest command. Each command parses its own options, so that
`python -m` of its module means the same. A new command is one line of a table.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import click

ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: `module:function` or `file.py:function`, which takes the arguments and returns the exit status."""

    target: str
    summary: str
    before: tuple[str, ...] = ()  # arguments that the command stands for

    def run(self, arguments: list[str]) -> int:
        """Import the command and run it."""
        module, _, function = self.target.partition(":")
        found = _script(ROOT / module) if module.endswith(".py") else import_module(module)
        command: Callable[[list[str]], int | None] = getattr(found, function)
        return command([*self.before, *arguments]) or 0


def _script(path: Path) -> Any:
    """Load a script that is no part of a package."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.ClickException(f"{path} cannot be loaded, expected a Python file of this checkout")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _bench(name: str, summary: str) -> Entry:
    return Entry(f"benchmarks.{name}:main", summary)


BENCHMARKS: Final[Mapping[str, Entry]] = {
    "assignment": _bench("assignment.__main__", "the cost of assigning 12 placements"),
    "document": _bench("document", "docs/benchmarks.md, capacity and projection, from stored results"),
    "epoch-job": _bench("epoch_job.__main__", "the cost of one reallocation at the end of a month"),
    "experiments": _bench("experiments.__main__", "decisions, errors and power of experiments (simulated)"),
    "gates": _bench("gates.__main__", "false alarms of the quality gates over two months"),
    "next-item": _bench("next_item.__main__", "next click of a visit, against published baselines"),
    "off-policy": _bench("off_policy.__main__", "value of another policy on a log"),
    "purchases": _bench("purchases.__main__", "next purchases, against tuned baselines"),
    "search": _bench("search.__main__", "judged search results"),
    "sequences": _bench("sequences.__main__", "leave-one-out of purchase sequences"),
    "serving": _bench("serving.__main__", "the cost of a page, of the use case and of the whole function"),
    "uplift": _bench("uplift.__main__", "each policy in a simulated shop"),
    "warehouse": _bench("warehouse.__main__", "loading a history, and single days on top"),
}
OPERATIONS: Final[Mapping[str, Entry]] = {
    "layers": Entry("layers/runtime/build.py:main", "both Lambda layers with byte code, in .build"),
    "pipeline": Entry("training_jobs.pipeline:main", "define, upsert or start the SageMaker pipeline"),
}
COMMANDS: Final[Mapping[str, Entry | Mapping[str, Entry]]] = {
    "run": Entry("local.run:main", "the whole system on this machine: shop and API on 127.0.0.1:8080"),
    "train": Entry("local.run:main", "train again on the kept warehouse, then run", ("--retrain",)),
    "shoppers": Entry("local.shoppers.__main__:main", "simulated shoppers in a running shop"),
    "experiment": Entry("local.experiment.command:main", "draft, start, watch and end experiments over the API"),
    "load": Entry("warehouse.load.__main__:main", "your own orders, events and catalogue into the warehouse"),
    "warehouse": Entry("warehouse.__main__:main", "build, generate, backfill, export, erase, withdraw, runs, doctor"),
    "bench": BENCHMARKS,
    "ops": OPERATIONS,
    "clean": Entry("local.clean:main", "delete the local warehouse, jobs, bundle and reports"),
}
HELP: Final[Mapping[str, str]] = {
    "": "Session-aware recommendations: the local system, its data, experiments, benchmarks and operations.",
    "bench": "Benchmarks; each prints one JSON line, and a report with --out.",
    "ops": "Building and operating the deployment.",
}
FORWARDED: Final = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


class Commands(click.Group):
    """A group over a table of entries."""

    def __init__(self, name: str, table: Mapping[str, Entry | Mapping[str, Entry]]) -> None:
        """Name the group and keep its table; nothing is imported."""
        super().__init__(name or "recommender", help=HELP[name], context_settings={"max_content_width": 120})
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Make the command of this name; underscores are hyphens."""
        name = cmd_name.replace("_", "-")
        entry = self.table.get(name)
        if entry is None:
            return None
        return _command(name, entry) if isinstance(entry, Entry) else Commands(name, entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is refused with the nearest name."""
        name = click.utils.make_str(args[0]) if args else ""
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.table, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(self.table)}"
            raise click.UsageError(f"no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


def _command(name: str, entry: Entry) -> click.Command:
    def run(arguments: tuple[str, ...]) -> None:
        sys.exit(entry.run(list(arguments)))

    forwarded = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    return click.Command(
        name, params=[forwarded], callback=run, help=entry.summary, context_settings=FORWARDED, add_help_option=False
    )


main = Commands("", COMMANDS)

if __name__ == "__main__":
    main(prog_name="recommender")
