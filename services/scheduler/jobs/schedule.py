"""The schedule of all jobs."""

from jobs.cleanup import delete_old_runs_in_batches
from jobs.job import Job
from jobs.report import report_user_tasks

REPORT_USER_TASKS = Job(
    name="report-user-tasks",
    description="Prints the newest tasks of one user.",
    cron="* * * * *",
    work=report_user_tasks,
    limit_seconds=50,
)
DELETE_OLD_RUNS = Job(
    name="delete-old-runs",
    description="Deletes the runs that are older than RUNS_KEPT_DAYS.",
    cron="7 * * * *",
    work=delete_old_runs_in_batches,
    limit_seconds=600,
)

JOBS = {job.name: job for job in (REPORT_USER_TASKS, DELETE_OLD_RUNS)}
