"""The figures of `make bench`: each module measures one kind of cost and returns `Figure`s.

Belongs here: measuring, floors to compare with. Does not: judging correctness (the tests do).
Every figure is a ratio inside one run, a count, or a size; seconds stand where a target is one.
"""
