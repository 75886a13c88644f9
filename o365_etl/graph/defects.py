"""What stops the reading of a tenant and is no answer of Microsoft's: defects of this program, targets that are none.

What does not live here: what Microsoft's answers amount to (`refusals`), what a stream makes of them (`streams`).
"""

from __future__ import annotations

import logging
import traceback

from o365_etl.errors import O365EtlError, PermanentError, ProtocolError

log = logging.getLogger(__name__)


def internal_error(error: Exception) -> O365EtlError:
    """A defect of this program, as a failure. Its message is not logged: it may quote an answer, a person's data."""
    trace = "".join(traceback.format_tb(error.__traceback__))
    log.error("unexpected %s while reading a tenant\n%s", type(error).__name__, trace)
    return PermanentError(
        f"unexpected {type(error).__name__}; this is a defect of the program",
        code="internal",
        remedy="Report it with the traceback in the log.",
    )


def invalid_id() -> ProtocolError:
    """A target that names no tenant."""
    return ProtocolError(
        "the partner's list names a tenant by something that is no tenant id",
        code="invalid_tenant_id",
        remedy="Look at the relationship in Partner Center.",
    )


def named_twice() -> ProtocolError:
    """A tenant that is a target twice."""
    return ProtocolError(
        "this tenant is read under another name already",
        code="named_twice",
        remedy="Configure the direct connection by the tenant's id, so that it wins over the partner's listing.",
    )
