"""The room of the long-lived tasks: thin shells that own time, queues and failure, and decide nothing.

What a session, a stage or a batch does is a function elsewhere; here it gets a task, a bounded queue in front of it,
and somebody who looks after it when it fails.
"""
