"""From landed answers to tables: bytes in, Arrow tables out, in the schemas of `o365_etl.tables`.

    tenant      all `m365` tables of one tenant
    users, mailboxes, licenses    one of them each
    scope       which users become contacts
    itglue      the `itglue` tables, in batches
    catalogue   what Microsoft's products are called, and which are free
    portal      links into the admin centers
    answers, resources, decode, columns    how answers are shaped, decoded and turned into columns

Pure: no clock, no environment, no connection. What does not live here: reading (`graph`, `itglue`), storing (`store`).
"""
