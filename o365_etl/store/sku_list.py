"""The last good copy of Microsoft's list of products, `{data_dir}/catalogue/products.json`, and when it was asked for.

One small file, replaced whole: the names, and beside them what the server needs to say "not changed". A copy that
cannot be read counts as none: it can be downloaded again.

What does not live here: the list's meaning (`transform`) and its download (`graph`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from o365_etl.store.disk import local_errors, make_folder, replace_file

FILE = Path("catalogue") / "products.json"


class Entry(msgspec.Struct, frozen=True):
    """One product: id in lower case, name, part number."""

    sku_id: str
    name: str
    part_number: str | None


class SkuList(msgspec.Struct, frozen=True):
    """What was last downloaded from `url`, and the last attempt (`problem` is None if that went well)."""

    url: str
    tried_at: datetime
    problem: str | None = None
    fetched_at: datetime | None = None
    etag: str | None = None
    last_modified: str | None = None
    products: list[Entry] = []


def read(data_dir: Path) -> SkuList | None:
    """The last good copy; None if there is none. Raises `LocalError` if the file may not be read."""
    with local_errors(f"read {data_dir / FILE}"):
        try:
            content = (data_dir / FILE).read_bytes()
        except FileNotFoundError:
            return None
    try:
        found = msgspec.json.decode(content, type=SkuList)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    # A time without its zone would compare with none of ours: not a file of this program.
    return None if found.tried_at.tzinfo is None else found


def write(data_dir: Path, copy: SkuList) -> None:
    """Replace the copy. Raises `LocalError`."""
    path = data_dir / FILE
    make_folder(path.parent)
    with local_errors(f"write {path}"):
        replace_file(path, msgspec.json.encode(copy))
