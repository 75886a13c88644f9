"""The use cases: what the Dagster assets, the command line and the review website call.

    workspace      opens what one installation consists of
    planning       which tenants to read (the plan of what to write is `changing`)
    microsoft      read them in shards, load what is certified
    documentation  the same for IT Glue
    relating       match, compare, history
    deciding       what a person decides · naming: whom a name stands for
    changing       the plan and its brakes · applying: write the approved part of it
    publishing     the copy that analysts open
    watching       what a person should look at after a sync
    reporting      status, summary, explain: questions about what is there
    memory         gives it back between the stages
    progress       tells whoever listens how far a long verb is

Composes the row below (`graph`, `itglue`, `transform`, `matching`, `sync`, `store`), holds no rule of its own and knows
nothing of Dagster.
"""
