"""The use cases: what the Dagster assets, the command line and the review website call.

    workspace   opens what one installation consists of
    reading     which tenants, read them in shards, load what is certified
    relating    match, compare, history
    publishing  the copy that analysts open
    reporting   status, summary, explain: questions about what is there
    progress    tells whoever listens how far a long verb is

Composes the row below (`graph`, `itglue`, `transform`, `matching`, `store`), holds no rule of its own and knows
nothing of Dagster.
"""
