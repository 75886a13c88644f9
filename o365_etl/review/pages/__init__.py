"""One module per page: its questions, its forms, and which template shows the answer. `PAGES` and `FORMS` map each
address to its handler.
"""
