"""The extensions of DuckDB that a lake takes: from Python packages of DuckDB's version, else from DuckDB's installer.

Nothing is fetched here: what is missing is named, with the two ways to get it. Also how an object store is signed in
to. What does not live here: what is done with them (`lake`).
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from o365_etl.errors import ConfigError

# What DuckLake asks for by itself has to be there before: nothing is loaded behind the user's back.
_LAKE = ("postgres_scanner", "ducklake")
_OBJECT_STORE = ("httpfs", "aws")
# Whose signature this process has checked: it takes a third of a second each time, for the same file.
_checked: set[str] = set()


def is_object_store(data_path: str) -> bool:
    """Whether this is a URL, not a folder."""
    return "://" in data_path


def extensions_of(data_path: str) -> tuple[str, ...]:
    """What a lake with its files there takes. Raises `ConfigError` for an object store of another kind."""
    if not is_object_store(data_path):
        return _LAKE
    if not data_path.startswith("s3://"):
        raise ConfigError(
            f"warehouse.data_path: {data_path} is neither a folder nor s3://…", remedy="Write s3://BUCKET/FOLDER."
        )
    return (*_LAKE, *_OBJECT_STORE)


def are_checked(names: tuple[str, ...]) -> bool:
    """Whether DuckDB found them all signed, earlier in this process."""
    return _checked.issuperset(names)


def load_extensions(connection: duckdb.DuckDBPyConnection, names: tuple[str, ...]) -> None:
    """Load them. Raises `ConfigError` if one is not installed."""
    for name in names:
        packaged = _packaged(name)
        try:
            connection.execute(f"LOAD '{packaged}'" if packaged else f"LOAD {name}")
        except duckdb.Error as error:
            raise ConfigError(
                f"DuckDB {duckdb.__version__} has no extension {name}, which `warehouse.catalog` needs",
                remedy=f"pip install {_package(name)}=={duckdb.__version__}, or, where DuckDB's own server can be "
                f"reached: python -c \"import duckdb; duckdb.sql('INSTALL {name}')\".",
            ) from error
    _checked.update(names)


def sign_in_to_store(connection: duckdb.DuckDBPyConnection) -> None:
    """Use what this machine knows of the object store: AWS' variables and files, or the role it runs as."""
    options = ["TYPE s3", "PROVIDER credential_chain"]
    # The one variable that DuckDB does not heed: a store that is not AWS' own.
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        parts = urlsplit(endpoint)
        host = parts.netloc.replace("'", "''")
        options += [f"ENDPOINT '{host}'", "URL_STYLE 'path'", f"USE_SSL {parts.scheme == 'https'}"]
    try:
        connection.execute(f"CREATE SECRET store ({', '.join(options)})")
    except duckdb.Error as error:
        raise ConfigError(
            "warehouse.data_path: this machine knows no key of the object store",
            remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role.",
        ) from error


def _packaged(name: str) -> Path | None:
    found = importlib.util.find_spec(_package(name).replace("-", "_"))
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    # One of another version would not load.
    return file if file.is_file() else None


def _package(name: str) -> str:
    return f"duckdb-extension-{name.replace('_', '-')}"
