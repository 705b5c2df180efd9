"""Work side by side in processes of its own, its results as they come."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

from pipeline.errors import UserError

Share = TypeVar("Share")
Found = TypeVar("Found")


def side_by_side(work: Callable[[Share], Iterator[Found]], shares: Sequence[Share]) -> Iterator[Found]:
    """All that `work` yields for each share, as it comes; a single share is done in this process.

    Raises:
        UserError: if a process dies. What `work` raises is raised here.
    """
    if len(shares) == 1:
        yield from work(shares[0])
        return
    context = get_context("spawn")  # torch's threads don't survive a fork
    waiting: dict[Connection, Any] = {}
    try:
        for share in shares:
            ours, theirs = context.Pipe(duplex=False)
            waiting[ours] = context.Process(target=_send, args=(work, share, theirs), daemon=True)
            waiting[ours].start()
            theirs.close()  # so that a process that dies closes the last one
        while waiting:
            for ready in cast(list[Connection], wait(list(waiting))):
                try:
                    message = ready.recv()
                except EOFError:
                    waiting.pop(ready).join()
                    raise UserError("a process died, perhaps for lack of memory; fewer threads need less") from None
                if isinstance(message, BaseException):
                    raise message
                if message is None:
                    waiting.pop(ready).join()
                else:
                    yield message[0]
    finally:
        for process in waiting.values():
            process.terminate()


def _send(work: Callable[[Share], Iterator[Found]], share: Share, to: Connection) -> None:
    """In the other process: sends each result in a tuple of one, then None; or the exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    try:
        for found in work(share):
            to.send((found,))
        to.send(None)
    except Exception as error:  # noqa: BLE001  # the parent raises it
        error.add_note(traceback.format_exc())
        to.send(error)
