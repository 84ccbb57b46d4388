"""The ways to act: today one HTTP request, with its own guarded connections."""
