"""Bytes off the wire to columns and records, one protocol a file.

A request's body goes in, a batch with counts of what was refused comes out. No I/O, no reading
of the time: bad entries are counted by reason and skipped, and only a body that cannot be read
at all raises DecodeError. Nothing is allocated on the word of a sender before a bound is checked.
"""
