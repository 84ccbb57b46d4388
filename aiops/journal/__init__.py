"""The ordered log of every accepted input: bodies go in, numbered records come out.

A record is durable before `append` returns and is handed on exactly in order of `seq`; replaying
the log gives the core the same input again, bit for bit. `base` is the contract, `memory` and
`sqlite` keep it.
"""
