"""Whoever the analyzers' step asks: plugins over HTTP, Python callables in the loop or in processes of their own.

To the chain all of it is one `Oracle` (`oracle.py`): a question goes in, an answer comes out, whatever goes wrong.
"""
