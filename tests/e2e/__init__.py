"""Tests of the whole: a child process, real sockets, a real store."""
