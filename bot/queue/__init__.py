"""Transport: the embedded Redis server, the one RQ queue, its workers. Nothing here is the truth; SQL is."""
