"""The review website: the place of the person who decides, in the browser.

Server-rendered pages on the published copy and the state store; a page never opens the working tables and never waits
for a sync. What takes long (a sync, a rematch, an apply) is a command in a process of its own (`worker`).

`app` puts it together · `serving` opens the address · `access` says who may come in · `pages/*` one module per page:
its queries and its forms · `templates`, `static` what the browser gets · `rendering` the words and figures in it.

What does not live here: what a decision, an approval or a write does (`o365_etl.pipeline`).
"""
