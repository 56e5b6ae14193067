"""A progress bar for what happens before chains run, in a terminal or a notebook."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(shown: bool, label: str, total: int) -> Iterator[Callable[[], None]]:
    """A function to call after each of ``total`` steps; it does nothing unless ``shown``."""
    if not shown:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)
        progress.update(task, total=progress.tasks[0].completed)  # fewer steps may have done
