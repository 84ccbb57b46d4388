"""Receivers: each delivers one planned message over its protocol, or says why it could not."""
