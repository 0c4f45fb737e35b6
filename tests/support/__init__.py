"""What several suites use: each helper stands here once, typed, and `make check` holds it to mypy --strict."""
