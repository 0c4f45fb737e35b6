"""Print the Compose services that `make docker-up` restarts when a secret has changed."""

from local.docker_up import READERS

print(*sorted(READERS))
