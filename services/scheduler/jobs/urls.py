"""The app's routes, each with an optional trailing slash."""

from django.urls import re_path

from jobs.views import JobListView, JobRunsView, RunDetailView, RunListView

urlpatterns = [
    re_path(r"^api/jobs/?$", JobListView.as_view(), name="job-list"),
    re_path(r"^api/jobs/(?P<name>[a-z-]{1,64})/runs/?$", JobRunsView.as_view(), name="job-runs"),
    re_path(r"^api/jobs/runs/?$", RunListView.as_view(), name="run-list"),
    # Not Django's int converter, whose range is unlimited: only ASCII digits, at most as many as a bigint has.
    re_path(r"^api/jobs/runs/(?P<run_id>[0-9]{1,19})/?$", RunDetailView.as_view(), name="run-detail"),
]
