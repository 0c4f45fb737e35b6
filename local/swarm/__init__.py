"""`make swarm-images`, `make swarm-up` and `make swarm-down`: the stack of docker-compose.yaml on a Docker Swarm."""
