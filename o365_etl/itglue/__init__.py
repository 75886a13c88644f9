"""The IT Glue side: a thin JSON:API client and the reader that crawls what the job needs into the landing zone.

    allow_list  the only endpoints that are ever asked
    rate        the request rate of one account
    client      one request: key, TLS, retries, errors
    paging      one endpoint: all its records, each once
    reader      the streams, each with its receipt

What does not live here: what the records mean (`o365_etl.transform`) and where answers are kept (`o365_etl.store`).
"""

# The flexible asset type that this program keeps; "Microsoft Licenses" and "Office 365 Licenses" are Kaseya's own.
LICENSE_ASSET_TYPE = "Microsoft 365 licenses (o365_etl)"
