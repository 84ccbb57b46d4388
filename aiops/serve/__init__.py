"""The HTTP edge: one door a file, each turning requests into journal records or answers.

Handlers check, take a token, decode, submit and answer; they own no logic. A request is
acknowledged only once its record is in the journal. Overload is 503 with Retry-After, a body
that cannot be read 400 with the reason; nothing ever redirects.
"""
