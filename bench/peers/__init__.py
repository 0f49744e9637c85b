"""Servers that ours is compared with: programs that print `{"port": …}` once they listen and end at SIGTERM."""
