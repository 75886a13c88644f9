"""From difference to documentation: what is to be written to IT Glue, and how it is written exactly once.

    changes    one change, its identity, and the hash of a plan
    contacts   users against contacts: field rules, merged e-mails and phones
    leavers    users that left, and the mark their contact gets
    places     organizations and their location
    assets     our two flexible asset types, license assets and the Microsoft 365 overlay
    brakes     plans that look like an accident
    payloads   a change as the attributes of a request, merged with the record as it is now
    apply      a plan, tenant by tenant · sending: intents, requests, outcomes · recognise: is this the record?
    ports      what `apply` needs of IT Glue and of the state store

Everything but `apply` and `sending` is pure; they know IT Glue and the state store only as protocols. What does not
live here: reading, matching and comparing, and the order of a sync (the pipeline).
"""
