"""Which organization a tenant belongs to: rules that decide, and suggestions where none does; who resembles whom.

    organizations   decisions, links and the three rules, first that decides wins; ties decide nothing
    suggestions     up to five likely organizations for a person to choose from
    audit           new users who resemble a contact that nobody has · nicknames: what it knows of names

Pure: frames in, frames out. What does not live here: users and contacts, whose rules are set-based SQL
(`store/sql/match_*.sql`), and what makes names comparable (`o365_etl.normalise`).
"""
