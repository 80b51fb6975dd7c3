"""GitHub's JSON, in full shape: one builder an object, the same for REST answers and webhooks."""
