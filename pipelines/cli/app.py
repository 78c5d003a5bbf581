"""Owns the list of commands and the entry point."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from pipelines.cli.backtest import backtest
from pipelines.cli.data.advise import advise as data_advise
from pipelines.cli.data.diff import diff as data_diff
from pipelines.cli.data.export import export as data_export
from pipelines.cli.data.gc import gc as data_gc
from pipelines.cli.data.import_folder import import_folder as data_import
from pipelines.cli.data.key import key as data_key
from pipelines.cli.data.ls import ls as data_ls
from pipelines.cli.data.pin import pin as data_pin
from pipelines.cli.data.pull import pull as data_pull
from pipelines.cli.data.push import push as data_push
from pipelines.cli.data.recall import recall as data_recall
from pipelines.cli.data.scrub import scrub as data_scrub
from pipelines.cli.data.show import show as data_show
from pipelines.cli.data.stats import stats as data_stats
from pipelines.cli.data.verify import verify as data_verify
from pipelines.cli.demo import demo
from pipelines.cli.dev import dev
from pipelines.cli.doctor import doctor
from pipelines.cli.guard import guarded
from pipelines.cli.key import key
from pipelines.cli.lineage import lineage
from pipelines.cli.list import list_pipelines
from pipelines.cli.models import models
from pipelines.cli.new import new
from pipelines.cli.pack import pack
from pipelines.cli.predict import predict
from pipelines.cli.report import report
from pipelines.cli.reproduce import reproduce
from pipelines.cli.rollback import rollback
from pipelines.cli.run import run
from pipelines.cli.show import show
from pipelines.cli.skew import skew
from pipelines.cli.suggest import suggest
from pipelines.cli.summary import summary
from pipelines.cli.verify import verify

app = typer.Typer(
    name="penstock",
    help="Raw files in, a gated, signed and promoted model out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, Callable[..., int | None]] = {
    "demo": demo,
    "dev": dev,
    "run": run,
    "summary": summary,
    "list": list_pipelines,
    "show": show,
    "new": new,
    "suggest": suggest,
    "report": report,
    "models": models,
    "rollback": rollback,
    "predict": predict,
    "skew": skew,
    "pack": pack,
    "lineage": lineage,
    "reproduce": reproduce,
    "verify": verify,
    "backtest": backtest,
    "data ls": data_ls,
    "data show": data_show,
    "data diff": data_diff,
    "data verify": data_verify,
    "data advise": data_advise,
    "data stats": data_stats,
    "data scrub": data_scrub,
    "data import": data_import,
    "data pull": data_pull,
    "data export": data_export,
    "data push": data_push,
    "data key": data_key,
    "data gc": data_gc,
    "data pin": data_pin,
    "data recall": data_recall,
    "doctor": doctor,
    "key": key,
}
"""Command to its function, in the order that the help shows; those of two words are in a group."""
GROUPS = {"data": typer.Typer(help="Look at, verify, move and clean up what the store holds.", no_args_is_help=True)}
for _name, _command in COMMANDS.items():
    _group, _, _leaf = _name.rpartition(" ")
    (GROUPS[_group] if _group else app).command(_leaf)(guarded(_command))
for _name, _group_app in GROUPS.items():
    app.add_typer(_group_app, name=_name)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed_version

        print(f"penstock {installed_version('penstock')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Raw files in, a gated, signed and promoted model out."""


def main() -> None:
    """Run the command line."""
    app(prog_name="penstock", args=sys.argv[1:])
