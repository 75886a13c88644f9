"""The use cases: what the Dagster assets, the command line and the review website call.

    workspace      opens what one installation consists of
    connecting     verify and save a connection (verifying asks) · disconnecting: pause or remove one
    doctor         what a sync would run into: surveying asks a connection · machine · findings: what it means
    targets        which tenants there are · planning: which of them to read (what to write is planned by `changing`)
    catalogue      what products are called, and fetching Microsoft's list of them
    microsoft      read them in shards, load what is certified
    quarantining   who fails until a person mends something, and is left alone for how long
    queueing       syncs that are asked for, and runs whose process is gone · timetable: the next scheduled one
    documentation  the same for IT Glue · crawling: in the background, too
    relating       match, compare, history
    choices        what can be synced · selecting: choose it · scoping: who would be in scope · selectable: names
    deciding       what a person decides · naming: whom a name stands for
    changing       the plan and its brakes · applying: write the approved part of it
    publishing     the copy that analysts open
    watching       what a person should look at after a sync
    conditions     what is wrong now, or about to be
    alerting       tell people what changed of it · delivery: in which words, to whom · messages: how it gets there
    reporting      status, summary, explain: questions about what is there
    memory         gives it back between the stages
    progress       tells whoever listens how far a long verb is

Composes the row below (`graph`, `itglue`, `transform`, `matching`, `sync`, `store`), holds no rule of its own and knows
nothing of Dagster.
"""
