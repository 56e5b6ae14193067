"""Progress bars, on stderr in a terminal or in a notebook; nutpie draws the one of its chains."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(shown: bool, label: str, total: int) -> Iterator[Callable[[], None]]:
    """A function to call after each of ``total`` steps; it does nothing unless ``shown``."""
    if not shown:
        yield lambda: None
        return
    from rich.console import Console

    draw = _in_notebook if Console().is_jupyter else _in_terminal
    with draw(label, total) as step:
        yield step


def announce(shown: bool, line: str) -> None:
    """A line where progress bars are drawn, if these are ``shown``."""
    if shown:
        from rich.console import Console

        Console(stderr=True).print(line, highlight=False, soft_wrap=True)


@contextmanager
def _in_terminal(label: str, total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    console = Console(stderr=True)  # so that other output on stdout is not redirected
    with Progress(
        *columns, TimeElapsedColumn(), console=console, redirect_stdout=False
    ) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)
        progress.update(task, total=progress.tasks[0].completed)  # fewer steps may have sufficed


@contextmanager
def _in_notebook(label: str, total: int) -> Iterator[Callable[[], None]]:
    """As HTML, which needs no widgets; at most a hundred updates."""
    from IPython.display import HTML, display

    done = 0

    def bar(end: int) -> HTML:
        return HTML(f"{label} <progress max='{end}' value='{done}'></progress> {done}/{end}")

    def step() -> None:
        nonlocal done
        done += 1
        if 100 * done // total > 100 * (done - 1) // total:
            handle.update(bar(total))

    handle = display(bar(total), display_id=True)
    yield step
    handle.update(bar(done))
