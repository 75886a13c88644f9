"""The one place where our errors become Dagster's: the type decides whether a retry is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from o365_etl.errors import O365EtlError, TransientError


@contextmanager
def reported() -> Iterator[None]:
    """Turn an `O365EtlError` into a `dagster.Failure` that shows its code and its remedy."""
    try:
        yield
    except O365EtlError as error:
        raise dg.Failure(
            description=error.line,
            metadata={"code": error.code, "what to do": error.remedy},
            allow_retries=isinstance(error, TransientError),
        ) from error
