"""Decoding in memory-limited child processes: a crash or a hang there is one refused image.

    async with DecodePool(processes=2, memory_mb=2048, timeout_s=20) as pool:
        image = await pool.render(path, recipe, limits)

One image at a time in each child. A child that crashes is replaced and its image tried once more
on another; one that takes too long is killed and replaced. Nothing blocks the event loop.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from model_store.cores import usable_cores
from model_store.dicom_input import Laterality, Limits, View
from model_store.geometry import Placement
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, Refused, WarningCode
from service import parent_death
from service.decode_messages import (
    LENGTH_BYTES,
    LONGEST_HEADER,
    REPLY,
    Decoded,
    Failed,
    Rejected,
    Request,
)

logger = logging.getLogger(__name__)

CHILD = (sys.executable, "-m", "service.decode_child")
START_S = 60.0
TRIES = 2
RESTART_WAIT_S = 1.0
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}
"""The pool is the parallelism, and every thread's stack and arena count as address space."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A canvas and what the header said of it. The UIDs stay out of logs."""

    canvas: bytes
    shape: tuple[int, int]
    placement: Placement
    laterality: Laterality | None
    view: View | None
    sop_instance_uid: str
    study_instance_uid: str
    spacing_mm: tuple[float, float] | None
    warnings: tuple[WarningCode, ...]


class DecodePoolError(Exception):
    """The children cannot be started."""


class _Crashed(Exception):
    """The child has gone, or says what it should not."""


class DecodePool:
    """`processes` children (0 = one a usable core) with `memory_mb` MiB of address space each."""

    def __init__(
        self,
        processes: int,
        memory_mb: int,
        timeout_s: float,
        *,
        command: Sequence[str] = CHILD,
    ) -> None:
        self._processes = processes or usable_cores()
        self._command = [*command, str(memory_mb)]
        self._timeout_s = timeout_s
        self._idle: asyncio.Queue[_Child | None] = asyncio.Queue()  # None: the pool has stopped
        self._children: set[_Child] = set()
        self._replacing: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pids(self) -> list[int]:
        """Process ids of the children, busy or not."""
        return [child.pid for child in self._children]

    async def start(self) -> None:
        """Start all children and wait until they are ready. Raises DecodePoolError."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._processes):
                    group.create_task(self._add())
        except ExceptionGroup:
            await self.stop()
            raise DecodePoolError(
                "a decode child did not start; is decode_memory_mb large enough?"
            ) from None

    async def stop(self) -> None:
        """Kill the children, whatever they do; who waits for one is refused."""
        self._stopped = True
        self._idle.put_nowait(None)
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(child.end() for child in self._children))
        self._children.clear()

    async def render(self, path: Path, recipe: Recipe, limits: Limits) -> DecodedImage:
        """File -> canvas by `recipe`. Raises Refused: by the reader, or for a crash or a timeout.

        Waits for a free child as long as the caller does; only then its own time begins.
        """
        request = Request(path=path, recipe=recipe, limits=limits)
        for _ in range(TRIES):
            child = await self._free_child()
            usable = False
            try:
                async with asyncio.timeout(self._timeout_s):
                    image = await child.ask(request)
                usable = True
            except Refused:
                usable = True
                raise
            except TimeoutError:
                raise Refused(
                    RefusalCode.DECODE_TIMEOUT, f"not decoded within {self._timeout_s:.0f} s"
                ) from None
            except _Crashed as error:
                logger.warning("a decode child crashed: %s", error)
                continue
            finally:  # also when the caller leaves in the middle
                self._give_back(child, usable=usable)
            return image
        raise Refused(RefusalCode.DECODE_CRASHED, "the decoder crashed on it twice")

    async def _free_child(self) -> "_Child":
        while True:
            child = await self._idle.get()
            if child is None:
                self._idle.put_nowait(None)
                raise Refused(RefusalCode.DECODE_CRASHED, "the decoders are stopping")
            if child.alive:
                return child
            logger.warning("a decode child ended while it was idle")
            self._give_back(child, usable=False)

    async def _add(self) -> None:
        child = _Child(self._command)
        self._children.add(child)
        try:
            async with asyncio.timeout(START_S):
                await child.ready()
        except BaseException:
            await child.end()
            self._children.discard(child)
            raise
        self._idle.put_nowait(child)

    def _give_back(self, child: "_Child", *, usable: bool) -> None:
        if usable:
            self._idle.put_nowait(child)
            return
        child.kill()
        if self._stopped:
            return
        task = asyncio.create_task(self._replace(child))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _replace(self, child: "_Child") -> None:
        await child.end()
        self._children.discard(child)
        while True:
            try:
                await self._add()
            except (_Crashed, TimeoutError, OSError) as error:
                logger.error("a decode child did not start: %s", type(error).__name__)
                await asyncio.sleep(RESTART_WAIT_S)
            else:
                return


class _Child:
    """One process and the socket to it. Made in the thread of the event loop: it dies with it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                parent_death.command([*command, str(theirs.fileno())]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # decoders print what they read
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **ONE_THREAD},
                start_new_session=True,  # Ctrl-C is for the service
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def ready(self) -> None:
        """Return when the child can take a request."""
        if any(await self._exactly(LENGTH_BYTES)):
            raise _Crashed("it did not say that it is ready")

    async def ask(self, request: Request) -> DecodedImage:
        """Raises Refused as the child says, or _Crashed."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, request.framed())
            reply = await self._reply()
        except OSError as error:
            raise _Crashed(type(error).__name__) from None
        if not secrets.compare_digest(reply.token, request.token):
            raise _Crashed("a reply to another request")
        if isinstance(reply, Rejected):
            raise Refused(reply.code, reply.detail)
        if isinstance(reply, Failed):
            raise _Crashed(reply.error)
        shape = (request.recipe.height_px, request.recipe.width_px)
        canvas = await self._exactly(shape[0] * shape[1])
        return DecodedImage(
            canvas=bytes(canvas),
            shape=shape,
            placement=reply.placement,
            laterality=reply.laterality,
            view=reply.view,
            sop_instance_uid=reply.sop_instance_uid,
            study_instance_uid=reply.study_instance_uid,
            spacing_mm=reply.spacing_mm,
            warnings=reply.warnings,
        )

    async def _reply(self) -> Decoded | Rejected | Failed:
        length = int.from_bytes(await self._exactly(LENGTH_BYTES), "big")
        if not 0 < length <= LONGEST_HEADER:
            raise _Crashed("a header of no sensible length")
        header = await self._exactly(length)
        try:
            return REPLY.validate_json(bytes(header))
        except ValidationError:
            raise _Crashed("a header that says nothing known") from None

    async def _exactly(self, count: int) -> bytearray:
        read = bytearray(count)
        view = memoryview(read)
        loop = asyncio.get_running_loop()
        while view:
            try:
                got = await loop.sock_recv_into(self._socket, view)
            except OSError as error:
                raise _Crashed(type(error).__name__) from None
            if got == 0:
                raise _Crashed("it ended")
            view = view[got:]
        return read

    def kill(self) -> None:
        """At once, whatever it does."""
        self._process.kill()

    async def end(self) -> None:
        """Kill it, wait for it and close the socket."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        try:
            await asyncio.to_thread(self._process.wait)
            await asyncio.sleep(0)  # who waits for its answer sees the end before the close
        finally:
            self._socket.close()
