"""From difference to documentation: what is to be written to IT Glue, and how it is written exactly once.

    changes       one change, its identity, and the hash of a plan
    contacts      users against contacts: field rules, merged e-mails and phones
    leavers       users that left, and the mark their contact gets
    licenses      license assets · overlay: the Microsoft 365 data beside a contact · locations: the address
    brakes        plans that look like an accident
    apply         intents, requests, outcomes

Everything but `apply` is pure; `apply` knows IT Glue and the state store only as protocols. What does not live here:
reading, matching and comparing, and the order of a sync (the pipeline).
"""
