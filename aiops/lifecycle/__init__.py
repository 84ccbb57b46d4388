"""The life of state: snapshots of the core, written whole and checked before they are believed.

Arrays and a header go in, a file with a checksum comes out; reading gives the same back or says
why not. Nothing here decides anything.
"""
