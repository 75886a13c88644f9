"""Everything the program keeps on disk.

`landing` keeps what was read, `warehouse` the tables made of it, `published` the copy that people open, `state` what
must not be recomputed, `lock` who may write, `sku_list` the last good list of products. What does not live here:
reading (`graph`, `itglue`) and deciding (`matching`).
"""
