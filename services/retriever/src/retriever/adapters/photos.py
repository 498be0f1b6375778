"""Photos by their content: <root>/<catalog>/<2 hex>/<2 hex>/<sha256>, in a folder or a bucket.

A photo's name is the hash of its bytes and nothing that a caller chose. It is durable before the
record mentions it, and never changed afterwards. Photos that no product has any more stay: another
catalog page, an answer record or an import under way may still name them.
"""

import asyncio
import contextvars
import errno
import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from retriever.adapters import photo_work
from retriever.adapters.durable import DurableFolder
from retriever.domain import errors
from servicekit.decoding import (
    Decoders,
    DecodingFailed,
    DecodingOutOfMemory,
    DecodingRefused,
    DecodingUnavailable,
)
from servicekit.errors import ServiceError
from servicekit.fetch import Fetcher, FetchPolicy
from sightline_rules import photos

T = TypeVar("T")

_HASH = re.compile(r"[0-9a-f]{64}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class PhotoStore:
    """See Photos in ports/photos.py. Files are read and written in a bounded number of threads."""

    def __init__(
        self,
        url: str,
        *,
        limits: photos.PhotoLimits | None = None,
        decoders: Decoders | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        """`url`: a folder, or what fsspec takes (`s3://bucket/prefix`).

        Photos are looked at in `decoders`, by default two processes that the first photo starts.
        By default nothing may be fetched.
        """
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._limits = limits or photos.PhotoLimits()
        self._decoders = decoders or Decoders(photo_work.__name__)
        self._fetcher = fetcher or Fetcher(FetchPolicy())
        self._io = ThreadPoolExecutor(4, "photo-io")
        local = isinstance(self._files, LocalFileSystem)
        self._folder = DurableFolder(Path(self._root)) if local else None

    async def start(self) -> None:
        """Have the processes that look at photos ready. Raises DecodingUnavailable."""
        await self._decoders.start()

    def close(self) -> None:
        """Wait for the files under way."""
        self._decoders.close()
        self._io.shutdown(wait=True, cancel_futures=True)
        if self._folder is not None:
            self._folder.close()

    async def fetch(self, uri: str) -> bytes:
        return await self._fetcher.fetch(uri)

    async def inspect(self, data: bytes) -> photos.PhotoInfo:
        try:
            photos.check_size(data, self._limits)
            photos.sniff(data)  # what is no photo costs no process
            order = photo_work.order(self._limits)
            facts, _ = await self._decoders.run(order, data, photo_work.WANTED)
            return await asyncio.to_thread(photo_work.understood, facts, data, self._limits)
        except photos.PhotoRejectedError as error:
            raise errors.ImageRejected(str(error.reason), str(error)) from error
        except DecodingRefused as refused:
            rejected = photos.PhotoRejectedError.of(refused.code, str(refused))
            raise errors.ImageRejected(str(rejected.reason), str(rejected)) from refused
        except DecodingUnavailable as error:
            raise errors.PhotosUnavailable from error
        except (DecodingFailed, ValueError) as error:
            large = isinstance(error, DecodingOutOfMemory)
            reason = (
                photos.RejectionReason.TOO_LARGE if large else photos.RejectionReason.UNDECODABLE
            )
            raise errors.ImageRejected(
                str(reason), f"the photo can't be decoded: {error}"
            ) from error

    async def put(self, catalog_id: str, image_id: str, data: bytes) -> None:
        path = self._path(catalog_id, image_id)
        if self._folder is None:
            await self._run(lambda: _translated(lambda: self._put_object(path, data)))
            return
        try:
            await self._folder.write(Path(path), data)
        except OSError as error:
            raise _meaning(error) from error

    async def get(self, catalog_id: str, image_id: str) -> bytes:
        path = self._path(catalog_id, image_id)
        data = await self._run(lambda: _translated(lambda: self._get(path)))
        if hashlib.sha256(data).hexdigest() != image_id:
            raise errors.ImageDamaged
        return data

    async def _run(self, work: Callable[[], T]) -> T:
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._io, run, work)

    def _path(self, catalog_id: str, image_id: str) -> str:
        if not _HASH.fullmatch(image_id):
            raise errors.ImageNotFound
        # Settings let only a-z, 0-9, - and _ into a catalog's name.
        return f"{self._root}/{catalog_id}/{image_id[:2]}/{image_id[2:4]}/{image_id}"

    def _put_object(self, path: str, data: bytes) -> None:
        if not self._files.exists(path):
            self._files.pipe_file(path, data)  # a bucket shows an object whole or not at all

    def _get(self, path: str) -> bytes:
        data: bytes = self._files.cat_file(path)
        return data


def _translated(work: Callable[[], T]) -> T:
    try:
        return work()
    except ServiceError:
        raise
    except FileNotFoundError as error:
        raise errors.ImageNotFound from error
    except OSError as error:
        raise _meaning(error) from error
    except Exception as error:
        # fsspec's drivers raise errors of their vendors: botocore, aiohttp, gcsfs, …
        raise errors.PhotosUnavailable from error


def _meaning(error: OSError) -> ServiceError:
    return errors.PhotosFull() if error.errno in _FULL else errors.PhotosUnavailable()
