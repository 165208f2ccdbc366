"""Processes that play and encode episodes for one writer, and what they made, in order of seeds."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from ..single_threaded import one_thread_each
from .lerobot import Encoded, Images, encode

AHEAD = 4  # batches that a worker may be ahead of one that is waited for


@dataclass(frozen=True)
class Job:
    """What every batch of seeds has in common. device: for rooms."""

    world: str
    frames: int
    size: int
    images: Images = "png"
    device: str = "cpu"


def encoded_episodes(job: Job, seeds: Sequence[int], *, workers: int = 1, batch: int = 1) -> Iterator[Encoded]:
    """The encoded episode of each seed, in that order, whichever worker was first; one worker is this process.

    A worker computes in one thread, so that the same seed gives the same bits however many there are. When this
    process ends, however it ends, the workers do. Raises what a world raised.
    """
    batches = [list(seeds[at : at + batch]) for at in range(0, len(seeds), batch)]
    if workers <= 1:
        for seeds_now in batches:
            yield from _made(job, seeds_now)
        return
    yield from _spread(job, batches, min(workers, max(1, len(batches))))


def _made(job: Job, seeds: Sequence[int]) -> list[Encoded]:
    import torch

    from .collection import play

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [encode(episode, job.images) for episode in play(job.world, seeds, job.frames, job.size, job.device)]
    finally:
        torch.set_num_threads(threads)


def _spread(job: Job, batches: list[list[int]], workers: int) -> Iterator[Encoded]:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may never answer
    crew: dict[Connection, Any] = {}
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(job, theirs), daemon=True)
            with one_thread_each():
                process.start()
            theirs.close()  # the worker holds the only other end, and meets its end when ours is gone
            crew[ours] = process
        idle, busy, ready, given = list(crew), {}, {}, 0
        for awaited in range(len(batches)):
            while awaited not in ready:
                while idle and given < min(len(batches), awaited + AHEAD * workers):
                    worker = idle.pop()
                    worker.send((given, batches[given]))
                    busy[worker] = given
                    given += 1
                for worker in wait(list(busy)):
                    assert isinstance(worker, Connection)
                    at, made = _answer(worker, crew[worker], batches[busy.pop(worker)])
                    ready[at] = made
                    idle.append(worker)
            yield from ready.pop(awaited)
    finally:
        for connection, process in crew.items():
            connection.close()
            process.terminate()
        for process in crew.values():
            process.join()


def _answer(worker: Connection, process: Any, seeds: list[int]) -> tuple[int, list[Encoded]]:
    try:
        at, made, error = worker.recv()
    except (EOFError, OSError):
        process.join()
        raise RuntimeError(
            f"seeds {seeds[0]} to {seeds[-1]}: expected episodes of a worker; it ended with {process.exitcode}. "
            "Use fewer workers if memory is short."
        ) from None
    if error is not None:
        raise error
    return at, made


def _serve(job: Job, channel: Connection) -> None:
    """The life of a worker: batches of seeds come, episodes go, until the other end is closed."""
    try:
        while True:
            at, seeds = channel.recv()
            channel.send((at, *answer(job, seeds)))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def answer(job: Job, seeds: Sequence[int]) -> tuple[list[Encoded], Exception | None]:
    """What is made of the seeds, or what was raised instead, such that it can cross to another process."""
    try:
        return _made(job, seeds), None
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        return [], _portable(error)


def _portable(error: Exception) -> Exception:
    """The error where it can cross to another process; else one of the same words."""
    if type(error) in (ValueError, ModuleNotFoundError, ImportError, OSError, RuntimeError, FileNotFoundError):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
