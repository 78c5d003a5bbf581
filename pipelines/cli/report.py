"""`penstock report`: what the stages and checks of one partition said, as one page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from quality.report import Report
    from resources.workspace import Workspace


def report(
    pipeline: Annotated[
        str | None, typer.Argument(help="Name of the pipeline; see `penstock list`. Left out with --serve.")
    ] = None,
    partition: Annotated[
        str | None, typer.Argument(help="Key of the partition; by default the newest that was run.")
    ] = None,
    *,
    registry: Annotated[
        str | None, typer.Option("--registry", metavar="NAME", help="Another registry, such as that of a backtest.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write the page there.")] = None,
    data_docs: Annotated[
        bool, typer.Option("--data-docs", help="Render Great Expectations' Data Docs beside the page, with a link.")
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and write no page.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve all reports to browsers of this machine, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port of --serve; that of PENSTOCK_REPORTS_URL, or 3001."),
    ] = None,
) -> None:
    """Write the report of a partition: verdicts, pictures and numbers of all its stages, as one page.

    The page loads nothing from anywhere, so it can be sent and kept. Each run writes it too, below .penstock/reports.
    """
    if serve:
        if any((pipeline, partition, registry, to, data_docs, as_json)):
            raise typer.BadParameter("--serve takes --port and --open alone: it serves the reports of all pipelines")
        _serve(port, show=show)
    if port is not None:
        raise typer.BadParameter("--port is of --serve")
    if pipeline is None:
        raise typer.BadParameter("name a pipeline, or serve all of them by --serve")
    from pipelines.cli.opened import workspace
    from resources.reports import docs_folder, page_path, write_page

    opened = workspace(registry)
    found = _report(opened, pipeline, partition)
    if as_json:
        from pipelines.cli.console import print_json

        print_json(found.to_json())
        return
    path = to.resolve() if to else page_path(opened, found.pipeline, found.partition or None)
    if data_docs:
        _render(opened, found, docs_folder(path))
    write_page(path, found)
    _tell(found, path)
    if show:
        _open(path.as_uri())


def _serve(port: int | None, *, show: bool) -> NoReturn:
    from threading import Event

    from pipelines.cli.opened import workspace
    from resources.report_server import PORT, local_port, serving

    opened = workspace()
    chosen = port or local_port(opened.settings.reports_url) or PORT
    with serving(opened, chosen, remedy="end that, or give another port by --port") as url:
        print(f"Reports: {url}/ (Ctrl-C ends it)", flush=True)
        if show:
            _open(f"{url}/")
        while True:
            Event().wait()


def _open(url: str) -> None:
    import webbrowser

    webbrowser.open(url)


def _report(opened: "Workspace", pipeline: str, partition: str | None) -> "Report":
    from pipelines.summary import check_known, check_partitions
    from resources.reports import report_of
    from resources.storage import refs

    check_known(opened, pipeline)
    made = refs.partitions(opened.store, opened.registry_name, (pipeline, "raw"))
    if partition is not None:
        check_partitions(opened, pipeline, [partition])
    elif made:
        partition = made[-1]
    return report_of(opened.store, opened.registry_name, pipeline, partition)


def _render(opened: "Workspace", found: "Report", folder: Path) -> None:
    from pipelines.lookup import find
    from quality.suites.docs import write_data_docs
    from resources.errors import DeclarationError, StoreError
    from resources.expectations import suite_result
    from resources.storage import refs

    suite = list(find(found.pipeline, opened.settings).ingest.expectations)
    if not suite:
        raise DeclarationError(
            f"pipeline {found.pipeline!r} declares no expectations, so there are no Data Docs; see `penstock suggest`"
        )
    ref = refs.load(opened.store, opened.registry_name, (found.pipeline, "raw"), found.partition or None)
    try:
        write_data_docs(suite, suite_result(opened.store, suite, ref.digest), folder)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}; free some room, or choose another --to") from error


def _tell(found: "Report", path: Path) -> None:
    from pipelines.cli.console import print_table

    rows = [
        (item.stage, item.check, f"{item.verdict}{' (earlier data)' if found.is_outdated(item) else ''}", item.reason)
        for item in found.checks
    ]
    title = " ".join(part for part in (found.pipeline, found.partition) if part)
    print_table(("stage", "check", "verdict", "why"), rows, title=f"{title}: {found.verdict}")
    print(f"Page: {path}")
