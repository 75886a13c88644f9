"""The IT Glue side: a thin JSON:API client, the reader that crawls what the job needs, and the writer.

    allow_list  the only requests that are ever sent
    rate        the request rate of one account
    client      one request: key, TLS, retries
    refusals    every failed answer as one of our errors
    paging      one endpoint: all its records, each once
    changes     what changed in a stream since its last full crawl
    reader      the streams, each with its receipt
    writer      records looked up, created and updated

What does not live here: what the records mean (`o365_etl.transform`), where answers are kept (`o365_etl.store`), and
what is to be written (`o365_etl.sync`).
"""

# The flexible asset types that this program keeps; "Microsoft Licenses" and "Office 365 Licenses" are Kaseya's own.
LICENSE_ASSET_TYPE = "Microsoft 365 licenses (o365_etl)"
USER_ASSET_TYPE = "Microsoft 365 users (o365_etl)"
