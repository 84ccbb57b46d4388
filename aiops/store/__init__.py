"""Where things are kept: incidents and their outbox, actions and audit trail; scored samples.

`base` says what may be asked of a store, the other modules are its adapters. What a writer
returned from is durable; what it raised for has not happened.
"""
