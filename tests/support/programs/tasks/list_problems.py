"""Print the type, title and detail of each problem that the services return, by status."""

import json

import django

django.setup()

from servicekit.http.problems import PROBLEMS

print(json.dumps({problem.status: [problem.type, problem.title, problem.detail] for problem in PROBLEMS.values()}))
