"""Changing the configuration file: what a person wrote there, its comments and its order stay.

What is changed is validated as a whole before the file is replaced, in one step; a file that somebody else changed in
the meantime is not overwritten. What the environment overrides never gets into the file.

What does not live here: the meaning of the settings (`config`), and secrets, which are never written into this file.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Comment, Item, Key, Null, Table, Whitespace

from o365_etl.config import Settings, build_settings
from o365_etl.errors import ConfigError, ConflictError, LocalError

_BOM = "\ufeff"
_Above = list[tuple[Table, str]]


class ConfigFile:
    """One configuration file, to be changed and saved. `ConfigFile.open` makes one."""

    def __init__(self, path: Path, before: bytes | None) -> None:
        self.path = path
        self._before = before
        try:
            text = (before or b"").decode()
            self._mark = _BOM if text.startswith(_BOM) else ""
            self._document, self._above, self._end = _parse(text.removeprefix(_BOM))
        except (TOMLKitError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}", remedy="Mend that line.") from error

    @classmethod
    def open(cls, path: Path) -> ConfigFile:
        """Read the file; one that does not exist yet is empty. Raises `ConfigError`."""
        path = path.expanduser().absolute()
        try:
            return cls(path, path.read_bytes())
        except FileNotFoundError:
            return cls(path, None)
        except OSError as error:
            raise ConfigError(f"the configuration file {path} cannot be read ({error.strerror})") from error

    @property
    def exists(self) -> bool:
        """Whether there was a file when it was opened."""
        return self._before is not None

    def raw(self) -> dict[str, Any]:
        """The file's content as it stands now, parsed, as a copy."""
        return self._document.unwrap()

    def settings(self) -> Settings:
        """What the file means as it stands now, without the environment. Raises `ConfigError`."""
        return build_settings(self.raw(), self.path)

    def text(self) -> str:
        """The file's content as it would be saved."""
        return _rendered(self._document, self._above, self._end)

    # --- changing

    def set(self, key_path: Sequence[str], value: Any) -> None:
        """Set one key, making the tables above it; None deletes the key. Raises `ConfigError` if a part is no table."""
        self._set(self._document, key_path, value)

    def add_connection(self, values: Mapping[str, Any]) -> None:
        """Append a connection. Its name must be free: `save` refuses two of the same."""
        values = {key: value for key, value in values.items() if value is not None}
        connections = self._document.get("connections")
        if connections is None:
            connections = self._document["connections"] = tomlkit.aot()
        if isinstance(connections, AoT):
            table = _table(values)
            table.trivia.indent = "\n" if self._document.as_string() else ""
            connections.append(table)
        else:
            connections.append(_inline(values))

    def connection(self, name: str) -> dict[str, Any]:
        """The keys of one connection as they stand in the file, as a copy. Raises `ConfigError` if there is none."""
        return dict(tomlkit.item(self._entry(name)).unwrap())

    def set_connection(self, name: str, key_path: Sequence[str], value: Any) -> None:
        """Set one key of a connection, as `set` does."""
        self._set(self._entry(name), key_path, value)

    def remove_connection(self, name: str) -> None:
        """Remove a connection with the comments above it; those above what follows stay."""
        entry = self._entry(name)
        connections = self._document["connections"]
        del connections[next(index for index, each in enumerate(connections) if each is entry)]
        if not len(connections):
            del self._document["connections"]

    def save(self) -> None:
        """Validate, then replace the file. A new file is for this user alone, another keeps its mode.

        Raises `ConfigError` if the result would be no valid configuration, `ConflictError` if the file was changed
        since it was opened, `LocalError` if it cannot be written.
        """
        text = self.text()
        meant = tomllib.loads(text)
        if meant != self.raw():
            raise LocalError(f"{self.path}: this change cannot be written", remedy="Change the file in an editor.")
        build_settings(meant, self.path)
        after = (self._mark + text).encode()
        if after == self._before:
            return
        # What a link points to is replaced, not the link.
        target = self.path.resolve()
        temporary: Path | None = None
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
                temporary = Path(file.name)
                file.write(after)
                file.flush()
                os.fsync(file.fileno())
            now = target.read_bytes() if target.exists() else None
            if now != self._before:
                raise ConflictError(
                    f"{self.path} was changed by somebody else in the meantime; nothing was saved",
                    remedy="Look at the file, then do this again.",
                )
            if now is not None:
                _keep_access(target, temporary)
            temporary.replace(target)
            temporary = None
        except OSError as error:
            raise LocalError(
                f"the configuration file {self.path} cannot be written ({error.strerror})",
                remedy="Correct the permissions of the file and its folder, then do this again.",
            ) from error
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        self._before = after

    # --- within

    def _entry(self, name: str) -> MutableMapping[str, Any]:
        entries = self._document.get("connections", [])
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, MutableMapping) and str(entry.get("name", "")).casefold() == name.casefold():
                return entry
        names = [str(entry["name"]) for entry in entries if isinstance(entry, Mapping) and "name" in entry]
        known = f"It has: {', '.join(names)}." if names else "It has none."
        raise ConfigError(f"{self.path}: there is no connection named {name!r}", remedy=known)

    def _set(self, node: MutableMapping[str, Any], key_path: Sequence[str], value: Any) -> None:
        *above, key = key_path
        for part in above:
            if part not in node:
                if value is None:
                    return
                # Within an inline table only another inline table can stand.
                node[part] = tomlkit.table() if isinstance(node, tomlkit.TOMLDocument | Table) else _inline({})
            node = node[part]
            if not isinstance(node, MutableMapping):
                raise ConfigError(f"{self.path}: {'.'.join(key_path)}: {part} is no table", remedy="Correct that key.")
        if value is None:
            node.pop(key, None)
        elif key not in node or tomlkit.item(node[key]).unwrap() != tomlkit.item(value).unwrap():
            at_top = isinstance(node, tomlkit.TOMLDocument) and isinstance(value, Mapping)
            node[key] = _table(value) if at_top else _item(value)


def _parse(text: str) -> tuple[tomlkit.TOMLDocument, _Above, str]:
    """The document, what stands above each of its tables, and what stands at its end: blank lines and comments.

    tomlkit counts comments to the table above them; people write them above the table they are about. So they are
    kept aside while the document is changed: else a new key would stand below a comment about something else, and a
    removed table take along the comment of the next.
    """
    text += "" if text.endswith("\n") or not text else "\n"
    document = tomlkit.parse(text)
    above: _Above = []
    loose = _take_trailing(document.body) if _has_keys(document) else ""
    for table in _tables(document):
        if not table.is_super_table():
            above.append((table, loose))
            loose = _take_trailing(table.value.body)
    if _rendered(document, above, loose) != text:
        return tomlkit.parse(text), [], ""  # tables in an order that tomlkit does not keep apart
    return document, above, loose


def _rendered(document: tomlkit.TOMLDocument, above: _Above, end: str) -> str:
    own = [table.trivia.indent for table, _ in above]
    for (table, loose), indent in zip(above, own, strict=True):
        table.trivia.indent = loose + indent
    text = document.as_string()
    for (table, _), indent in zip(above, own, strict=True):
        table.trivia.indent = indent
    return text + end


def _has_keys(document: tomlkit.TOMLDocument) -> bool:
    return any(key is not None for key, _ in document.body[: _first_table(document)])


def _first_table(document: tomlkit.TOMLDocument) -> int:
    tables = (index for index, (_, item) in enumerate(document.body) if isinstance(item, Table | AoT))
    return next(tables, len(document.body))


def _tables(container: Container) -> Iterator[Table]:
    """All tables in the order in which they stand."""
    for _, item in container.body:
        for table in item.body if isinstance(item, AoT) else [item] if isinstance(item, Table) else []:
            yield table
            yield from _tables(table.value)


def _take_trailing(body: list[tuple[Key | None, Item]]) -> str:
    """Take away the blank lines and comments at the end of a table, and return them."""
    text = ""
    own = next((index for index, (_, item) in enumerate(body) if isinstance(item, Table | AoT)), len(body))
    for index in reversed(range(own)):
        item = body[index][1]
        if not isinstance(item, Comment | Whitespace | Null):
            break
        text = item.as_string() + text
        body[index] = (None, Null())
    return text


def _table(values: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, _item(value))
    return table


def _inline(values: Mapping[str, Any]) -> Item:
    keys = [f"{tomlkit.key(key).as_string()} = {_item(value).as_string()}" for key, value in values.items()]
    return tomlkit.value(f"{{ {', '.join(keys)} }}" if keys else "{}")


def _item(value: Any) -> Item:
    """A value as it is written: a mapping stays on its line."""
    if isinstance(value, Mapping):
        return _inline(value)
    return tomlkit.item(list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value)


def _keep_access(old: Path, new: Path) -> None:
    """Whoever may read the file today may read it tomorrow; a temporary file starts as this user's alone."""
    facts = old.stat()
    new.chmod(facts.st_mode & 0o777)
    if (facts.st_uid, facts.st_gid) != (os.getuid(), os.getgid()) and os.geteuid() == 0:
        os.chown(new, facts.st_uid, facts.st_gid)
