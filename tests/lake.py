"""Whether a lake can be tested here: its extensions come from packages made for one version of DuckDB."""

from __future__ import annotations

from importlib import metadata

import duckdb
import pytest


def _is_installed() -> bool:
    try:
        return metadata.version("duckdb-extension-ducklake") == duckdb.__version__
    except metadata.PackageNotFoundError:
        return False


needs_a_lake = pytest.mark.skipif(
    not _is_installed(), reason="the extensions of the extra `scale` are not there, or not those of this DuckDB"
)
