"""The scheduler's settings. README.md and the project's .env.example list every variable that they read."""

from pathlib import Path

from scheduler_service.broker import broker_url, transport_options
from scheduler_service.consuming import client_name
from scheduler_service.webhook_keys import webhook_secret_keys
from servicekit import settings as shared
from servicekit.database.url import database_from_env
from servicekit.process import env
from servicekit.process.logging import logging_config
from servicekit.tokens.keys import keys_from_env

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(env.get("STATE_DIR", str(BASE_DIR.parent.parent / "var")))

JWT_KEYS = keys_from_env()
SECRET_KEY = shared.secret_key("SCHEDULER_SECRET_KEY", jwt_keys=JWT_KEYS)
# The keys that encrypt the secrets of webhooks at rest: the first encrypts, all decrypt.
WEBHOOK_SECRET_KEYS = webhook_secret_keys(jwt_keys=JWT_KEYS)

PUBLIC_URL = shared.public_url()
DEBUG = False
# No code builds a URL from the Host header, and only the gateway reaches this service.
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "scheduler_service.urls"
WSGI_APPLICATION = "scheduler_service.wsgi.application"
# servicekit contributes its management commands.
INSTALLED_APPS = ["jobs", "webhooks", "servicekit"]
MIDDLEWARE = shared.MIDDLEWARE
REST_FRAMEWORK = shared.REST_FRAMEWORK
SILENCED_SYSTEM_CHECKS = shared.SILENCED_SYSTEM_CHECKS
APPEND_SLASH = False

DATABASES = {"default": database_from_env(default_path=STATE_DIR / "db.sqlite3")}
# Use only Django's persistent connections, not the ODBC driver manager's pool as well.
DATABASE_CONNECTION_POOLING = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

LOGGING = logging_config("scheduler")
# Celery's two lines per job, which the job's own line makes redundant.
LOGGING["loggers"] |= {name: {"level": "WARNING"} for name in ("celery.worker.strategy", "celery.app.trace")}

# Makes a report fail if one of its lines cannot be written.
LOGGING["handlers"]["stdout"]["class"] = "jobs.output.StdoutHandler"

# The user whose tasks the report prints, and the maximum number of them; 0 means all.
REPORT_USER_ID = env.integer("REPORT_USER_ID", 1, minimum=1, maximum=2**63 - 1)
REPORT_LIMIT = env.integer("REPORT_LIMIT", 1000, minimum=0, maximum=2**31 - 1)
# How long the runs of jobs are kept.
RUNS_KEPT_DAYS = env.integer("RUNS_KEPT_DAYS", 30, minimum=1, maximum=36_500)
# How long the deliveries of webhooks are kept.
WEBHOOK_DELIVERIES_KEPT_DAYS = env.integer("WEBHOOK_DELIVERIES_KEPT_DAYS", 30, minimum=2, maximum=36_500)
# Whether webhooks may be sent to private and loopback addresses, for development; link-local ones are still refused.
WEBHOOK_ALLOW_PRIVATE_NETWORKS = env.choice("WEBHOOK_ALLOW_PRIVATE_NETWORKS", "0", choices=("0", "1")) == "1"

# Classes without arguments. The relay creates an instance of each, and calls it twice a second (jobs/relay.py).
RELAY_STEPS = [
    "jobs.dispatch.DispatchRuns",
    "webhooks.steps.RelayEvents",
    "webhooks.steps.WakeWorkers",
    "webhooks.steps.CleanUp",
    "scheduler_service.measures.Measure",
]
# Touched in each round in which the database responds; the health check of the relay's container reads its age.
RELAY_PULSE_FILE = STATE_DIR / "relay-pulse"

# Celery. It silently accepts unknown options, so a test compares these with the options that exist.
# https://docs.celeryq.dev/en/stable/userguide/configuration.html

REDIS_URL = env.require("REDIS_URL")
CELERY_BROKER_URL = broker_url(REDIS_URL)
CELERY_TIMEZONE = TIME_ZONE
# Other formats, such as pickle, would let anyone who can write to Redis run code in the worker.
CELERY_ACCEPT_CONTENT = ["json"]

# Other projects may use the same Redis, so our queues and keys have their own prefix.
CELERY_TASK_DEFAULT_QUEUE = "task-api.jobs"

# Webhooks have a separate queue and worker, so that long jobs do not delay them.
CELERY_TASK_ROUTES = {"webhooks.*": {"queue": "task-api.webhooks"}}

# A message is acknowledged when its Celery task has ended, and redelivered if the worker, or just the pool's process,
# exits before that. This is for ticks whose run is not stored yet. Once it is, the row decides (docs/adr/0021): a
# second delivery finds the run claimed, even while it is in progress, so no time limit has to be below this timeout.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# How long after its delivery an unacknowledged message is redelivered. Each worker applies its own value, so it must be
# the same in every app on the broker.
VISIBILITY_TIMEOUT_SECONDS = 15
# This time also passes while a message waits in a worker's memory, so a worker fetches no more than it can run at once.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = 2
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "task-api:",
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    # By default, Celery waits forever for a broker that is frozen or disconnected.
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    # The name by which a container's health check identifies its worker's connection.
    "client_name": client_name(),
    **transport_options(REDIS_URL),
}
# Runs continue while Redis is unavailable: a second delivery of their message is harmless.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# The broker may start after the worker, and be unavailable for longer than the default of 100 retries.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# Refusals by Redis (it cannot write, is out of memory, has become a replica) are temporary, like lost connections; by
# default, the worker would exit.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
# On SIGTERM, the worker waits for running jobs; those with a checkpoint are handed back after their current piece. On
# SIGQUIT, or Ctrl-C twice, it waits this long.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 3.0
# The runs are rows in the database, so no results are stored, and beat has none to clean up.
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None
CELERY_BEAT_SCHEDULER = "scheduler_service.beat:SlotScheduler"
# Touched when the broker has accepted a tick; the health check of beat's container reads its age.
BEAT_TICK_FILE = STATE_DIR / "beat-tick"
# Remote control is not used, and its subscription would also have to be restored after an outage.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
