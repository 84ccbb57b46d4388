"""Who is this sample: label blocks to fingerprints, fingerprints to slots, values to features.

Two maps of fingerprints live here: the directory, owned by the edge, knows which label blocks were
announced; the table, owned by the engine, gives each live series its slot. Intake turns ordered
samples into the feature a detector reads (value, or rate for counters). Pure, time passed in.
"""
